// Results: sorting, filtering, copying and downloading.

import { readFile } from 'node:fs/promises';

import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

test.use({ permissions: ['clipboard-read', 'clipboard-write'] });

async function finished(cluster, page) {
  const { site } = cluster;
  const workers = await cluster.workers(2);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const urls = ['page/c', 'missing/x', 'page/aaaaa', 'broken/z', 'page/b'].map((path) => site.url(path));
  await visitor.take(web.url, urls);
  await visitor.complete();
  return { visitor, urls, site, workers };
}

test('rows are sorted by a column, both ways, and back', async ({ cluster, page }) => {
  const { visitor, urls } = await finished(cluster, page);
  const order = async () => (await visitor.shown()).map((row) => row.url);
  const header = (name) => page.getByRole('columnheader', { name });
  expect(await order()).toEqual(urls);
  await header('Page').getByRole('button').click();
  expect(await order()).toEqual([...urls].sort());
  await expect(header('Page')).toHaveAttribute('aria-sort', 'ascending');
  await header('Page').getByRole('button').click();
  expect(await order()).toEqual([...urls].sort().reverse());
  await expect(header('Page')).toHaveAttribute('aria-sort', 'descending');
  // Numbers are sorted as numbers.
  await header('Bytes').getByRole('button').click();
  const bytes = (await visitor.shown()).map((row) => row.bytes).filter(Boolean).map(Number);
  expect(bytes.length).toBeGreaterThan(2);
  expect(bytes).toEqual([...bytes].sort((a, b) => a - b));
  await expect(header('Page')).not.toHaveAttribute('aria-sort', /./);
  await header('Bytes').getByRole('button').click();
  await header('Bytes').getByRole('button').click();
  expect(await order(), 'the third time, the order is that of the form').toEqual(urls);
});

test('only failed rows are shown on request', async ({ cluster, page }) => {
  const { visitor, urls } = await finished(cluster, page);
  const failed = (await visitor.shown()).filter((row) => row.state === 'failed').map((row) => row.url);
  expect(failed.length).toBeGreaterThan(0);
  await page.getByRole('link', { name: 'Show failed only' }).or(visitor.button('Show failed only')).click();
  await expect(visitor.rows.locator('visible=true')).toHaveCount(failed.length);
  await page.getByRole('link', { name: 'Show all' }).or(visitor.button('Show all')).click();
  await expect(visitor.rows.locator('visible=true')).toHaveCount(urls.length);
});

test('results are copied', async ({ cluster, page }) => {
  const { visitor, urls, site } = await finished(cluster, page);
  await visitor.button('Copy').click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain(urls[0]);
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  const lines = copied.trimEnd().split('\n').filter((line) => line.includes('http://'));
  expect(lines).toHaveLength(urls.length);
  for (const [index, line] of lines.entries()) expect(line).toContain(urls[index]);
  for (const index of [0, 2, 4]) expect(lines[index]).toContain(site.sum(urls[index]));
});

async function downloaded(page, name) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name }).click()]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
}

test('results are a CSV file', async ({ cluster, page }) => {
  const { urls, site, workers } = await finished(cluster, page);
  const { name, text } = await downloaded(page, 'CSV');
  expect(name).toMatch(/\.csv$/);
  const [head, ...lines] = text.trimEnd().split(/\r?\n/);
  expect(head).toBe('url,sha256,error,status,bytes,node,ms');
  expect(lines).toHaveLength(urls.length);
  const nodes = workers.map((worker) => worker.node);
  for (const [index, line] of lines.entries()) {
    expect(line.startsWith(`${urls[index]},`), line).toBe(true);
  }
  const [url, sum, error, status, bytes, node, ms] = lines[0].split(',');
  expect([url, sum, error, status, bytes]).toEqual([urls[0], site.sum(urls[0]), '', '200', `${site.body(urls[0]).length}`]);
  expect(nodes).toContain(node);
  expect(Number(ms)).toBeGreaterThanOrEqual(0);
});

test('results are a JSON file', async ({ cluster, page }) => {
  const { urls, site } = await finished(cluster, page);
  const { name, text } = await downloaded(page, 'JSON');
  expect(name).toMatch(/\.json$/);
  const { job, rows } = JSON.parse(text);
  expect(job.total).toBe(urls.length);
  expect(job.done + job.failed).toBe(urls.length);
  expect(rows.map((row) => [row.index, row.url])).toEqual(urls.map((url, index) => [index, url]));
  for (const row of rows.filter((row) => row.url.includes('/page/'))) expect(row.sha256).toBe(site.sum(row.url));
  expect(rows[3].error).toBeTruthy();
  expect(rows[3].sha256).toBe(null);
});
