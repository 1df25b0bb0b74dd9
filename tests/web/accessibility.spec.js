// axe-core finds no fault, with both themes and on both widths.

import axe from 'axe-core';

import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

/// Checks the page with axe, in both themes and two widths.
async function expectNoFindings(page, state) {
  // Like the debugger, which the content security policy does not restrict.
  await page.evaluate(axe.source);
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [390, 1280]) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 900 });
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(' ')}`);
      expect(found, `${state}, ${colorScheme}, ${width}`).toEqual([]);
    }
  }
}

test('the form, a job and its results', async ({ cluster, page }) => {
  test.setTimeout(200_000);
  const { site } = cluster;
  const workers = await cluster.workers(3);
  const web = await cluster.web({ discover: workers.flatMap((worker) => ['--node', worker.node]) });
  const visitor = new JobPage(page);
  await page.goto(web.url);
  await expect(visitor.cluster).toHaveAttribute('data-state', 'whole');
  await expectNoFindings(page, 'empty');
  await visitor.text.fill('nonsense');
  await visitor.button('Take checksums').click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expectNoFindings(page, 'bad line');
  await visitor.submit([...site.urls(10), site.url('missing/x'), site.url('broken/y'), ...site.urls(40, 'held')]);
  await expect(visitor.rowsThat('failed').first()).toBeVisible();
  await expectNoFindings(page, 'running');
  site.release();
  await visitor.complete();
  await expectNoFindings(page, 'done, with failures');
  await workers[0].kill();
  await expect(visitor.cluster).toHaveAttribute('data-state', 'incomplete');
  await expectNoFindings(page, 'a node is lost');
  await page.goto(web.url);
  await expect(page.getByText('Latest jobs')).toBeVisible();
  await expectNoFindings(page, 'jobs');
  await page.goto(`${web.url}jobs/a@h/nothing`);
  await expectNoFindings(page, 'no such job');
});

test('a server that is gone', async ({ cluster, page }) => {
  await cluster.worker();
  const web = await cluster.web();
  await new JobPage(page).take(web.url, cluster.site.urls(3));
  await web.kill();
  await expect(page.locator('#link')).toBeVisible();
  await expectNoFindings(page, 'gone');
});

test('the login, a cluster without nodes, and one in parts', async ({ cluster, page }) => {
  const file = await cluster.file('token', 'correct-horse-battery-staple');
  const guarded = await cluster.web({ more: ['--token-file', file] });
  await page.goto(guarded.url);
  await page.getByLabel('Token').fill('wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expectNoFindings(page, 'login');
  const names = [cluster.name('a'), cluster.name('b')];
  const parted = await cluster.web({ discover: names.flatMap((name) => ['--node', name]) });
  await page.goto(parted.url);
  await expect(page.locator('#cluster')).toBeVisible();
  await expectNoFindings(page, 'no nodes');
  for (const name of names) await cluster.worker({ name, discover: [] });
  await expect(page.locator('#cluster')).toHaveAttribute('data-state', 'parted');
  await expectNoFindings(page, 'parts');
});
