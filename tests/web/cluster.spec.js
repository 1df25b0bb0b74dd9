// The cluster beside the job.

import { expect, test } from './cluster.js';
import { JobPage, complaints } from './job_page.js';

test('nodes are shown with what they do', async ({ cluster, page }) => {
  const { site } = cluster;
  const workers = await cluster.workers(3);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await page.goto(web.url);
  await expect(visitor.cluster).toHaveAttribute('data-state', 'whole');
  await expect(visitor.cluster).toContainText('All 3 nodes see each other.');
  const urls = [...site.urls(30), ...site.urls(6, 'held')];
  await visitor.submit(urls);
  await expect(visitor.rowsThat('done')).toHaveCount(30);
  const lines = page.locator('#nodes tbody tr');
  await expect(lines).toHaveCount(3);
  for (const worker of workers) {
    const line = lines.filter({ hasText: worker.node });
    await expect(line).toContainText('peerl');
    await expect(line).toContainText('OTP');
    await expect(line).toContainText('since');
  }
  // The numbers of the last two columns are added.
  const column = async (from) => {
    const cells = await lines.evaluateAll((rows, at) => rows.map((row) => Number(row.cells[row.cells.length - at].textContent)), from);
    return cells.reduce((sum, count) => sum + count, 0);
  };
  await expect.poll(() => column(2)).toBe(6);
  await expect.poll(() => column(1)).toBe(30);
  site.release();
  await visitor.complete();
  await expect.poll(() => column(2)).toBe(0);
  await expect.poll(() => column(1)).toBe(36);
});

test('the matrix has a row and a column for each', async ({ cluster, page }) => {
  await cluster.workers(3);
  const web = await cluster.web();
  await page.goto(web.url);
  const matrix = page.locator('#matrix');
  await expect(matrix.locator('rect.sees')).toHaveCount(6);
  await expect(matrix.locator('rect.itself')).toHaveCount(3);
  await expect(matrix.locator('rect.sees-not')).toHaveCount(0);
  await expect(page.getByRole('img', { name: 'All 3 nodes see each other.' })).toBeVisible();
});

test('a node that is killed is missed until it is back', async ({ cluster, page }) => {
  const name = cluster.name('comes-and-goes');
  const worker = await cluster.worker({ name });
  const other = await cluster.worker();
  // By a list: EPMD drops a dead node, and the page would then drop it, too.
  const web = await cluster.web({ discover: ['--node', name, '--node', other.node] });
  const visitor = new JobPage(page);
  await page.goto(web.url);
  const line = page.locator('#nodes tbody tr').filter({ hasText: name });
  await expect(line).toHaveAttribute('data-state', 'connected');
  await worker.kill();
  await expect(line).toHaveAttribute('data-state', 'lost');
  await expect(line).toContainText('reconnecting');
  await expect(visitor.cluster).toHaveAttribute('data-state', 'incomplete');
  await expect(visitor.cluster.locator('.state')).toContainText('does not answer');
  await cluster.worker({ name });
  await expect(line).toHaveAttribute('data-state', 'connected');
  await expect(visitor.cluster).toHaveAttribute('data-state', 'whole');
});

test('a node that discovery no longer lists is gone', async ({ cluster, page }) => {
  const [worker, other] = await cluster.workers(2);
  const web = await cluster.web();
  await page.goto(web.url);
  const lines = page.locator('#nodes tbody tr');
  await expect(lines).toHaveCount(2);
  await worker.kill();
  await expect(lines).toHaveCount(1);
  await expect(lines).toContainText(other.node);
});

test('a partition stands out, in words, too, and heals', async ({ cluster, page }) => {
  const names = ['a', 'b', 'c'].map((basename) => cluster.name(basename));
  const node = (index) => ['--node', names[index]];
  await cluster.worker({ name: names[0], discover: [] });
  await cluster.worker({ name: names[1], discover: node(0) });
  // Only the page knows the third.
  await cluster.worker({ name: names[2], discover: [] });
  const web = await cluster.web({ discover: [0, 1, 2].flatMap(node) });
  const visitor = new JobPage(page);
  await page.goto(web.url);
  await expect(visitor.cluster).toHaveAttribute('data-state', 'parted');
  await expect(visitor.cluster).toContainText('fallen into 2 parts');
  const matrix = page.locator('#matrix');
  await expect(matrix.locator('rect.sees')).toHaveCount(2);
  await expect(matrix.locator('rect.sees-not')).toHaveCount(4);
  await expect(page.getByRole('img', { name: /fallen into 2 parts/ })).toBeVisible();

  const healed = await cluster.program(['mesh', ...[0, 1, 2].flatMap(node)]).ended;
  expect(healed).toBe(0);
  await expect(visitor.cluster).toHaveAttribute('data-state', 'whole');
  await expect(matrix.locator('rect.sees-not')).toHaveCount(0);
});

test('an empty cluster says so, and what to do', async ({ cluster, page }) => {
  const { site } = cluster;
  const name = cluster.name('late');
  const web = await cluster.web({ discover: ['--node', name] });
  const visitor = new JobPage(page);
  await page.goto(web.url);
  await expect(visitor.cluster).toBeVisible();
  await expect(visitor.cluster.locator('.state')).toContainText(/no node|does not answer/i);
  // A job begins nevertheless, and its page says that it waits for workers.
  const urls = site.urls(3);
  await visitor.submit(urls);
  await expect(visitor.cluster).toContainText('waits');
  await cluster.worker({ name });
  await visitor.complete();
  await visitor.expectSums(site, urls);
});

test('discovery that fails says so', async ({ cluster, page }) => {
  // No process has this port.
  const web = cluster.program(
    ['web', '--listen', '127.0.0.1:0', '--interval', '500ms', '--discover', 'epmd:127.0.0.1'],
    { ERL_EPMD_PORT: '1' },
  );
  const [, , url] = await web.line(/^ready (\S+) (\S+)/);
  const visitor = new JobPage(page);
  await page.goto(url);
  await expect(visitor.cluster).toContainText('Discovery by epmd');
  await expect(visitor.cluster.locator('.problem').first()).toBeVisible();
});

test('the cluster has a page of its own', async ({ cluster, page }) => {
  const [worker] = await cluster.workers(2);
  const web = await cluster.web();
  const heard = complaints(page);
  await page.goto(`${web.url}cluster`);
  await expect(page.locator('#nodes')).toContainText(worker.node);
  await expect(page.locator('#matrix')).toBeVisible();
  expect(heard).toEqual([]);
});
