// A job whose workers are lost.

import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

test('2,000 pages are all there although a worker is killed', async ({ cluster, page }) => {
  const { site } = cluster;
  const workers = await cluster.workers(3);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  // The held pages keep the job from its end until the worker is gone.
  const kind = (number) => (number % 100 === 50 ? 'held' : 'slow/30');
  const urls = Array.from({ length: 2000 }, (_, number) => site.url(`${kind(number)}/${number}`));
  await page.goto(web.url);
  await expect(visitor.cluster, 'all take part').toHaveAttribute('data-state', 'whole');
  await visitor.submit(urls);
  const [first] = workers;
  const ofFirst = page.locator(`#results tr[data-state="done"] .node`).filter({ hasText: first.node });
  await expect(ofFirst.first()).toBeAttached();
  process.kill(first.pid, 'SIGKILL');
  await first.ended;
  await expect(visitor.job, 'it is killed in the middle').toHaveAttribute('data-phase', 'running');
  site.release();
  await visitor.complete(120_000);
  await visitor.expectSums(site, urls);
  const nodes = new Set((await visitor.shown()).map((row) => row.node));
  expect(nodes).toEqual(new Set(workers.map((worker) => worker.node)));
  await expect(page.getByRole('progressbar')).toHaveAttribute('value', '2000');
});

test('a job waits for a worker that comes back', async ({ cluster, page }) => {
  const { site } = cluster;
  const name = cluster.name('lonely');
  const worker = await cluster.worker({ name });
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const urls = [...site.urls(5), ...site.urls(5, 'held')];
  await visitor.take(web.url, urls);
  await expect(visitor.rowsThat('done')).toHaveCount(5);
  await worker.kill();
  site.release();
  await cluster.worker({ name });
  await visitor.complete();
  await visitor.expectSums(site, urls);
});
