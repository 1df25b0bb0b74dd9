// The page by keyboard alone.

import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

/// Presses Tab until this has the focus, and checks that the focus is visible.
async function reach(page, locator) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    if (await locator.evaluate((element) => element === document.activeElement)) {
      const outline = await locator.evaluate((element) => getComputedStyle(element).outlineStyle);
      expect(outline, 'the focus is shown').not.toBe('none');
      return;
    }
  }
  throw new Error(`Tab does not lead to ${locator}`);
}

test('a job from its form to its results', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.worker();
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await page.goto(web.url);
  // The first stop skips the header of all pages.
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: /skip/i })).toBeFocused();
  await page.keyboard.press('Enter');
  await reach(page, visitor.text);
  const urls = [site.url('page/b'), site.url('page/a'), site.url('held/c')];
  await page.keyboard.insertText(urls.join('\n'));
  await reach(page, visitor.button('Take checksums'));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/jobs\//);
  await expect(visitor.rowsThat('done')).toHaveCount(2);
  await reach(page, visitor.button('Cancel'));
  await page.keyboard.press('Space');
  await expect(visitor.job).toHaveAttribute('data-phase', 'cancelled');
  await reach(page, page.getByRole('columnheader', { name: 'Page' }).getByRole('button'));
  await page.keyboard.press('Enter');
  const order = (await visitor.shown()).map((row) => row.url);
  expect(order).toEqual([...urls].sort());
  site.release();
  await page.keyboard.press('Home');
  await reach(page, visitor.button('Failed ones again'));
  await page.keyboard.press('Enter');
  await visitor.complete();
});

test('the list of nodes keeps the focus while it changes', async ({ cluster, page }) => {
  const [worker] = await cluster.workers(2);
  const web = await cluster.web();
  await page.goto(web.url);
  await expect(page.locator('#nodes tbody tr')).toHaveCount(2);
  await reach(page, page.getByRole('region', { name: 'Nodes' }));
  await worker.kill();
  await expect(page.locator('#nodes tbody tr')).toHaveCount(1);
  await expect(page.getByRole('region', { name: 'Nodes' })).toBeFocused();
});

test('what changes is told to a screen reader, and not row by row', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.worker();
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await page.goto(web.url);
  await page.addInitScript(() => {
    window.told = [];
    new MutationObserver(() => {
      const text = document.querySelector('[aria-live]')?.textContent.trim();
      if (text && text !== window.told.at(-1)) window.told.push(text);
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });
  await visitor.take(web.url, site.urls(300));
  await visitor.complete();
  await expect.poll(() => page.evaluate(() => window.told.join(' '))).toContain('300');
  const told = await page.evaluate(() => window.told.length);
  expect(told).toBeLessThan(20);
});
