// Access to the page, and the origins of accepted forms.

import { createServer } from 'node:http';

import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

const TOKEN = 'correct-horse-battery-staple';

async function guarded(cluster) {
  await cluster.worker();
  const file = await cluster.file('token', `${TOKEN}\n`);
  return await cluster.web({ more: ['--token-file', file] });
}

async function logIn(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Log in' }).click();
}

test('a visitor logs in with the token, and out', async ({ cluster, page, context }) => {
  const { site } = cluster;
  const web = await guarded(cluster);
  const visitor = new JobPage(page);
  const answer = await page.goto(web.url);
  expect(answer.status(), 'a load balancer asks without a login').toBe(200);
  await expect(visitor.text).toHaveCount(0);
  await expect(visitor.cluster, 'a stranger sees nothing of the cluster').toHaveCount(0);
  await expect(page.locator('body')).not.toContainText('@127.0.0.1');
  await logIn(page, 'correct-horse-battery-stable');
  await expect(page.getByRole('alert')).toContainText('not the token');
  await expect(visitor.text).toHaveCount(0);
  await logIn(page, TOKEN);
  await visitor.submit([site.url('page/a')]);
  await visitor.complete();
  const job = page.url();
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax' });
  expect(cookie.value).not.toContain(TOKEN);

  await page.getByRole('button', { name: 'Log out' }).click();
  await expect(page.getByLabel('Token')).toBeVisible();
  // A visitor of a job is redirected there after the login.
  await page.goto(job);
  await expect(visitor.rows).toHaveCount(0);
  await logIn(page, TOKEN);
  await page.waitForURL(job);
  await expect(visitor.rows).toHaveCount(1);
});

test('a cookie that is forged or from elsewhere opens nothing', async ({ cluster, page, context }) => {
  const web = await guarded(cluster);
  await page.goto(web.url);
  await expect(page.getByLabel('Token')).toBeVisible();
  const anonymous = await context.cookies();
  await logIn(page, TOKEN);
  await expect(page.getByLabel('Web pages')).toBeVisible();
  const [cookie] = await context.cookies();
  const changed = (index) => {
    const parts = cookie.value.split('.');
    parts[index] = /^\d+$/.test(parts[index]) ? String(Number(parts[index]) + 1_000_000) : `${parts[index].slice(0, -1)}_`;
    return parts.join('.');
  };
  const parts = cookie.value.split('.').length;
  const forged = [
    ...Array.from({ length: parts }, (_, index) => changed(index)),
    anonymous[0]?.value.replace('anonymous', 'member'),
    'x', '', '9'.repeat(4000),
  ].filter((value) => value !== undefined && value !== cookie.value);
  expect(forged.length).toBeGreaterThan(parts);
  for (const value of forged) {
    await context.clearCookies();
    await context.addCookies([{ name: cookie.name, value, url: web.url }]);
    await page.goto(web.url);
    await expect(page.getByLabel('Token'), value.slice(0, 80)).toBeVisible();
    await expect(page.getByLabel('Web pages')).toHaveCount(0);
  }
  // Sessions with one token are invalid with another.
  const file = await cluster.file('other', 'another-token-altogether\n');
  const other = await cluster.web({ more: ['--token-file', file] });
  await context.clearCookies();
  await context.addCookies([{ name: cookie.name, value: cookie.value, url: other.url }]);
  await page.goto(other.url);
  await expect(page.getByLabel('Token')).toBeVisible();
});

test('the token is not tried for ever', async ({ cluster, request }) => {
  const web = await guarded(cluster);
  const statuses = [];
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const page = await (await request.get(web.url)).text();
    const [, token] = page.match(/name="form_token" value="([^"]+)"/);
    const answer = await request.post(`${web.url}login`, {
      form: { form_token: token, token: `guess-number-${attempt}-of-many`, next: '' },
      headers: { origin: new URL(web.url).origin },
    });
    statuses.push(answer.status());
    if (answer.status() === 429) {
      expect(Number(answer.headers()['retry-after'])).toBeGreaterThan(0);
      break;
    }
  }
  expect(statuses.at(-1)).toBe(429);
  expect(new Set(statuses)).toEqual(new Set([403, 429]));
});

/// A foreign web site.
async function foreign(html) {
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { port: server.address().port, stop: () => server.close() };
}

for (const guard of ['a token', 'no token']) {
  test(`a form of another site is refused, with ${guard}`, async ({ cluster, page }) => {
    const { site } = cluster;
    const target = site.url('page/wanted-by-nobody');
    let web;
    if (guard === 'a token') {
      web = await guarded(cluster);
      await page.goto(web.url);
      await logIn(page, TOKEN);
      await expect(page.getByLabel('Web pages')).toBeVisible();
    } else {
      await cluster.worker();
      web = await cluster.web();
      await page.goto(web.url);
    }
    // It sends a form to the page when it is visited.
    const evil = await foreign(`<form method="post" action="${web.url}jobs"><textarea name="urls">${target}</textarea>
      <input name="form_token" value="x"></form><script>document.forms[0].submit()</script>`);
    // Another port is another origin of the same site, to which browsers send the cookie; another name is another site.
    for (const host of ['127.0.0.1', 'localhost']) {
      const refused = page.waitForResponse((response) => response.url() === `${web.url}jobs`);
      await page.goto(`http://${host}:${evil.port}/`).catch(() => {});
      expect((await refused).status(), host).toBe(403);
    }
    // A script of another site is refused, too.
    await page.goto(`http://127.0.0.1:${evil.port}/`).catch(() => {});
    await page.waitForLoadState();
    await page.goto('about:blank');
    for (const type of ['application/json', 'text/plain']) {
      await page.evaluate(async ([url, body, type]) => {
        const options = { method: 'POST', body, headers: { 'content-type': type }, credentials: 'include' };
        await fetch(url, { ...options, mode: 'no-cors' }).catch(() => {});
        await fetch(url, options).catch(() => {});
      }, [`${web.url}api/jobs`, JSON.stringify({ urls: [target] }), type]);
    }
    evil.stop();
    const jobs = await page.request.get(`${web.url}api/jobs`, { headers: { authorization: `Bearer ${TOKEN}` } });
    expect(await jobs.json()).toEqual([]);
    expect(site.count(target)).toBe(0);
  });
}

test('another site cannot put the page into a frame', async ({ cluster, page }) => {
  await cluster.worker();
  const web = await cluster.web();
  const evil = await foreign(`<iframe src="${web.url}" width="800" height="600"></iframe>`);
  const asked = page.waitForResponse(web.url);
  await page.goto(`http://127.0.0.1:${evil.port}/`);
  expect((await asked).headers()['content-security-policy']).toContain("frame-ancestors 'none'");
  await page.waitForLoadState();
  await expect(page.frameLocator('iframe').locator('body')).toBeAttached();
  await expect(page.frameLocator('iframe').getByLabel('Web pages')).toHaveCount(0);
  evil.stop();
});

test('a page on the loopback is not reached by the name of another host', async ({ cluster, request }) => {
  await cluster.worker();
  const web = await cluster.web();
  // A name that an attacker's name server first resolves to another address, and then to this one (DNS rebinding).
  const answer = await request.get(web.url, { headers: { host: 'rebound.example.org' } });
  expect(answer.status()).toBe(403);
});
