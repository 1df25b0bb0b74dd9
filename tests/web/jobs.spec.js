// Jobs: visitors begin, watch and cancel them.

import { expect, test } from './cluster.js';
import { JobPage, complaints } from './job_page.js';

test('a form becomes rows in its order, with the right sums', async ({ cluster, page }) => {
  const { site } = cluster;
  const workers = await cluster.workers(2);
  const web = await cluster.web();
  const heard = complaints(page);
  const visitor = new JobPage(page);
  // The slow pages arrive last, and are listed in the order of the request.
  const urls = [site.url('slow/600/first'), site.url('page/a'), site.url('slow/300/b'), site.url('page/c?x=1&y=2')];
  await visitor.take(web.url, ` ${urls[0]} ,${urls[1]},\n\n ,${urls[2]}\r\n${urls[3]}\n${urls[1]}\n`);
  await visitor.complete();
  await visitor.expectSums(site, [...urls, urls[1]]);
  expect(site.count(urls[1]), 'a duplicate is asked once').toBe(1);
  const names = workers.map((worker) => worker.node);
  for (const row of await visitor.shown()) {
    expect(row.status).toBe('200');
    expect(Number(row.bytes)).toBe(site.body(row.url).length);
    expect(names).toContain(row.node);
  }
  await expect(visitor.progress).toContainText('5');
  expect(heard).toEqual([]);
});

test('what is no URL is told by its line, and nothing of the text is lost', async ({ cluster, page }) => {
  await cluster.worker();
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await page.goto(web.url);
  const text = `${cluster.site.url('page/a')}\nnonsense\n\nfile:///etc/passwd, http://`;
  await visitor.text.fill(text);
  await visitor.button('Take checksums').click();
  const problem = page.getByRole('alert');
  await expect(problem).toContainText('Line 2: “nonsense”');
  await expect(problem).toContainText('Line 4: “file:///etc/passwd”');
  await expect(visitor.text).toHaveValue(text);
  await expect(visitor.text).toHaveAttribute('aria-invalid', 'true');

  await visitor.write(Array.from({ length: 10_001 }, (_, number) => `http://h/${number}`));
  await visitor.button('Take checksums').click();
  await expect(problem).toContainText('10001');
  expect(cluster.site.counts.size).toBe(0);
});

test('progress is told, and a job can be cancelled', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.worker();
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const urls = [...site.urls(5), ...site.urls(20, 'held')];
  await visitor.take(web.url, urls);
  await expect(visitor.rowsThat('done')).toHaveCount(5);
  await expect(visitor.progress).toContainText('5');
  await expect(visitor.progress).toContainText('25');
  await expect(page.getByRole('progressbar')).toHaveAttribute('value', '5');
  await expect(visitor.rowsThat('running').first()).toBeVisible();
  await visitor.button('Cancel').click();
  await expect(visitor.job).toHaveAttribute('data-phase', 'cancelled');
  await expect(visitor.rowsThat('done')).toHaveCount(5);
  await expect(visitor.rowsThat('failed')).toHaveCount(20);
  await expect(visitor.row(24)).toContainText('cancelled');
  await expect(visitor.button('Cancel')).toBeHidden();
});

test('failed ones are asked again, and only those', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.workers(2);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const urls = [site.url('page/a'), site.url('broken/b'), site.url('page/c'), site.url('broken/d')];
  await visitor.take(web.url, urls);
  await visitor.complete();
  await expect(visitor.rowsThat('failed')).toHaveCount(2);
  await expect(visitor.row(1).locator('.sum')).not.toBeEmpty();
  site.mend();
  await visitor.button('Failed ones again').click();
  await expect(visitor.rowsThat('done')).toHaveCount(4);
  await visitor.complete();
  await visitor.expectSums(site, urls);
  expect([0, 2].map((index) => site.count(urls[index]))).toEqual([1, 1]);
  await expect(visitor.button('Failed ones again')).toBeHidden();
});

test('several jobs of several browsers go on at once', async ({ cluster, browser }) => {
  const { site } = cluster;
  await cluster.workers(2);
  const web = await cluster.web();
  const contexts = await Promise.all([browser.newContext(), browser.newContext()]);
  const pages = await Promise.all([contexts[0], contexts[0], contexts[1]].map((context) => context.newPage()));
  const visitors = pages.map((page) => new JobPage(page));
  const jobs = ['x', 'y', 'z'].map((job) => [...Array(10).keys()].map((number) => site.url(`held/${job}${number}`)));
  await Promise.all(visitors.map((visitor, index) => visitor.take(web.url, jobs[index])));
  expect(new Set(pages.map((page) => page.url())).size).toBe(3);
  for (const visitor of visitors) await expect(visitor.rowsThat('running').first()).toBeVisible();
  site.release();
  for (const [index, visitor] of visitors.entries()) {
    await visitor.complete();
    await visitor.expectSums(site, jobs[index]);
  }
  await Promise.all(contexts.map((context) => context.close()));
});

test('a job outlives the reload of its page', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.workers(2);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const urls = [...site.urls(10), ...site.urls(10, 'held')];
  await visitor.take(web.url, urls);
  await expect(visitor.rowsThat('done')).toHaveCount(10);
  await page.reload();
  await expect(visitor.rows).toHaveCount(20);
  await expect(visitor.rowsThat('done')).toHaveCount(10);
  await expect(visitor.job).toHaveAttribute('data-phase', 'running');
  site.release();
  await visitor.complete();
  await visitor.expectSums(site, urls);
  // The start lists it.
  await page.goto(web.url);
  await page.getByRole('link', { name: '20 pages' }).click();
  await visitor.expectSums(site, urls);
});

test('the page says when its server is gone, and goes on when it is back', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.worker();
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await visitor.take(web.url, [site.url('page/a'), site.url('held/b')]);
  await expect(visitor.rowsThat('done')).toHaveCount(1);
  const link = page.locator('#link');
  await expect(link).toBeHidden();
  web.signal('SIGSTOP');
  web.signal('SIGINT');
  web.signal('SIGCONT');
  expect(await web.ended).toBe(0);
  expect(web.output).toMatch(/a job was under way and is lost: .*1 of 2/);
  await expect(link).toBeVisible();
  await expect(link).not.toBeEmpty();
  await expect(visitor.rowsThat('done'), 'what is there stays').toHaveCount(1);
  // Another process at the same address does not know the job, and the page says so.
  await cluster.web({ page: new URL(web.url).host });
  await expect(link).toContainText(/job/i);
});
