// Two web nodes behind a load balancer that sends each request to any of them.

import { Balancer } from './balancer.js';
import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

const TOKEN = 'correct-horse-battery-staple';

async function balanced(cluster) {
  await cluster.workers(2);
  const balancer = await Balancer.start();
  const file = await cluster.file('token', TOKEN);
  const more = ['--token-file', file, '--public-url', balancer.origin, '--allow', '127.0.0.0/8'];
  const webs = [];
  for (const basename of ['web', 'web']) webs.push(await cluster.web({ name: cluster.name(basename), more }));
  // They find each other like the workers.
  for (const web of webs) await expect.poll(() => peers(web)).toContain(webs.find((other) => other !== web).node);
  balancer.targets = webs.map((web) => web.url);
  return { balancer, webs };
}

async function peers(web) {
  const answer = await fetch(`${web.url}cluster.json`, { headers: { authorization: `Bearer ${TOKEN}` } });
  return (await answer.json()).nodes.filter((node) => node.connected_since_ms !== null).map((node) => node.name);
}

for (const script of ['with', 'without']) {
  test.describe(() => {
    test.use({ javaScriptEnabled: script === 'with' });

    test(`a job outlives reloads, ${script} script`, async ({ cluster, page, request }) => {
      const { site } = cluster;
      const { balancer } = await balanced(cluster);
      const visitor = new JobPage(page);
      // The health check, which has no login, at each.
      for (const target of balancer.targets) expect((await request.get(target)).status()).toBe(200);
      await page.goto(balancer.origin);
      await page.getByLabel('Token').fill(TOKEN);
      await page.getByRole('button', { name: 'Log in' }).click();
      const urls = [...site.urls(30), ...site.urls(30, 'held')];
      await visitor.submit(urls);
      await expect(visitor.rowsThat('done')).toHaveCount(30);
      for (let reloads = 0; reloads < 8; reloads += 1) {
        await page.reload();
        await expect(visitor.rows).toHaveCount(60);
        await expect(visitor.rowsThat('done')).toHaveCount(30);
      }
      site.release();
      await visitor.complete();
      await visitor.expectSums(site, urls);
      for (const target of balancer.targets) expect(balancer.counts.get(target), 'both have served').toBeGreaterThan(0);
      balancer.stop();
    });

    test(`a job is cancelled and asked again, ${script} script`, async ({ cluster, page }) => {
      const { site } = cluster;
      const { balancer } = await balanced(cluster);
      const visitor = new JobPage(page);
      await page.goto(balancer.origin);
      await page.getByLabel('Token').fill(TOKEN);
      await page.getByRole('button', { name: 'Log in' }).click();
      const urls = [...site.urls(3), ...site.urls(10, 'held')];
      await visitor.submit(urls);
      await expect(visitor.rowsThat('done')).toHaveCount(3);
      await visitor.button('Cancel').click();
      await expect(visitor.job).toHaveAttribute('data-phase', 'cancelled');
      site.release();
      await visitor.button('Failed ones again').click();
      await visitor.complete();
      await visitor.expectSums(site, urls);
      balancer.stop();
    });
  });
}

test('files come whole from whichever node', async ({ cluster }) => {
  const { site } = cluster;
  const { balancer, webs } = await balanced(cluster);
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
  const urls = site.urls(500);
  const made = await fetch(`${webs[0].url}api/jobs`, { method: 'POST', headers, body: JSON.stringify({ urls }) });
  expect(made.status).toBe(201);
  const job = await made.json();
  const at = async (web) => await (await fetch(new URL(job.json, web.url), { headers })).json();
  await expect.poll(async () => (await at(webs[1])).job.phase, { timeout: 60_000 }).toBe('done');
  const results = await Promise.all(webs.map(at));
  expect(results[0].rows).toHaveLength(500);
  expect(results[1]).toEqual(results[0]);
  balancer.stop();
});

test('the page says when the node of its job is gone', async ({ cluster, page }) => {
  const { site } = cluster;
  const { balancer, webs } = await balanced(cluster);
  const visitor = new JobPage(page);
  await page.goto(balancer.origin);
  await page.getByLabel('Token').fill(TOKEN);
  await page.getByRole('button', { name: 'Log in' }).click();
  await visitor.submit([site.url('page/a'), site.url('held/b')]);
  await expect(visitor.rowsThat('done')).toHaveCount(1);
  const owner = webs.find((web) => decodeURIComponent(page.url()).includes(web.node));
  const other = webs.find((web) => web !== owner);
  await owner.kill();
  balancer.targets = [other.url];
  await expect(page.locator('#link')).toContainText(owner.node);
  await expect(visitor.rowsThat('done'), 'what is there stays').toHaveCount(1);
  balancer.stop();
});
