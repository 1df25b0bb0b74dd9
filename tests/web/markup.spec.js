// Markup in text from outside is escaped.

import { expect, test } from './cluster.js';
import { JobPage, complaints } from './job_page.js';

const MARKUP = '<img src=x onerror=alert(1)><script>alert(2)</script>"\'>&lt;';

test('in URLs, errors and the form', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.worker();
  const web = await cluster.web();
  const heard = complaints(page);
  const visitor = new JobPage(page);
  const urls = [
    site.url(`page/${encodeURIComponent('x')}?${MARKUP}`),
    site.url(`broken/${MARKUP}`.replaceAll(',', '')),
    `http://127.0.0.1:1/${MARKUP}`,
    'http://no-such-host.invalid/<b>x</b>',
  ];
  await visitor.take(web.url, urls);
  await visitor.complete();
  const shown = await visitor.shown();
  expect(shown.map((row) => row.url)).toEqual(urls);
  await page.reload();
  expect((await visitor.shown()).map((row) => row.url), 'also as the server writes them').toEqual(urls);
  expect(await page.locator('#results img, #results script, #results b').count()).toBe(0);

  await page.goto(web.url);
  const text = `${MARKUP}</textarea><script>alert(3)</script>`;
  await visitor.text.fill(text);
  await visitor.button('Take checksums').click();
  await expect(page.getByRole('alert')).toContainText('<img src=x');
  await expect(visitor.text).toHaveValue(text);
  const unexpected = heard.filter((line) => !line.includes('422'));
  expect(unexpected).toEqual([]);
});

test('in addresses of pages', async ({ cluster, page }) => {
  await cluster.worker();
  const web = await cluster.web();
  const heard = complaints(page);
  for (const path of [`jobs/${encodeURIComponent(MARKUP)}/x`, `jobs/a@h/${encodeURIComponent(MARKUP)}`, `?next=${MARKUP}`, encodeURIComponent(MARKUP)]) {
    await page.goto(web.url + path);
    expect(await page.locator('img[src=x]').count()).toBe(0);
  }
  expect(heard.filter((line) => !/\b40[04]\b/.test(line))).toEqual([]);
});

test('nothing is loaded from elsewhere, and the policy forbids it', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.worker();
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const origins = new Set();
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  const answer = await page.goto(web.url);
  const policy = answer.headers()['content-security-policy'];
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  await visitor.submit(site.urls(3));
  await visitor.complete();
  expect([...origins]).toEqual([new URL(web.url).origin]);
  // An injected script does not run.
  const ran = await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.smuggled = true';
    document.body.append(script);
    return window.smuggled === true;
  });
  expect(ran).toBe(false);
});
