// The page in a browser without script.

import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

test.use({ javaScriptEnabled: false });

test('a form leads to a page that refreshes itself until all is there', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.workers(2);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const urls = [...site.urls(10), ...site.urls(5, 'held')];
  await page.goto(web.url);
  await visitor.text.fill(urls.join('\n'));
  // The answer is immediate, however long the job takes.
  const answered = page.waitForResponse((response) => response.request().method() === 'POST');
  await visitor.button('Take checksums').click();
  expect((await answered).status()).toBe(303);
  await page.waitForURL(/\/jobs\//);
  await expect(visitor.rows).toHaveCount(15);
  await expect(visitor.rowsThat('done'), 'the page loads itself anew').toHaveCount(10);
  await expect(visitor.progress).toContainText('10');
  await expect(page.locator('#nodes tbody tr')).toHaveCount(2);
  site.release();
  await visitor.complete();
  await visitor.expectSums(site, urls);
  // A complete page is not reloaded.
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  await page.waitForTimeout(3000);
  expect(requests).toEqual([]);
  // Controls that need a script are hidden.
  await expect(visitor.button('Copy')).toBeHidden();
  await expect(page.getByRole('link', { name: 'CSV' })).toBeVisible();
});

test('a job is cancelled, and its failed ones asked again', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.worker();
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const urls = [site.url('page/a'), ...site.urls(4, 'held')];
  await visitor.take(web.url, urls);
  await expect(visitor.rowsThat('done')).toHaveCount(1);
  await visitor.button('Cancel').click();
  await expect(visitor.job).toHaveAttribute('data-phase', 'cancelled');
  await expect(visitor.rowsThat('failed')).toHaveCount(4);
  await page.getByRole('link', { name: 'Show failed only' }).click();
  await expect(visitor.rows).toHaveCount(4);
  site.release();
  await visitor.button('Failed ones again').click();
  await visitor.complete();
  await visitor.expectSums(site, urls);
});

test('what is no URL is told by its line', async ({ cluster, page }) => {
  await cluster.worker();
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await page.goto(web.url);
  await visitor.text.fill('http://h/\nnonsense');
  await visitor.button('Take checksums').click();
  await expect(page.getByRole('alert')).toContainText('Line 2: “nonsense”');
  await expect(visitor.text).toHaveValue('http://h/\nnonsense');
});
