// Jobs of thousands of pages: the layout is stable, and the page stays responsive.

import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

test('nothing jumps while results come', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.workers(2);
  const web = await cluster.web();
  await page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const { value, sources } of list.getEntries()) {
        window.shifts.push({ value, of: sources.map(({ node }) => node?.outerHTML?.slice(0, 200) ?? String(node)) });
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
  const visitor = new JobPage(page);
  for (const width of [390, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    const urls = [...site.urls(100, 'slow/20'), ...site.urls(5, 'broken'), ...site.urls(95, 'slow/40')];
    await visitor.take(web.url, urls);
    await visitor.complete();
    await page.waitForTimeout(1500);
    const shifts = await page.evaluate(() => window.shifts);
    const sum = shifts.reduce((total, { value }) => total + value, 0);
    expect(sum, JSON.stringify(shifts, null, 1)).toBeLessThan(0.01);
  }

  // The rows are drawn before the end of the page, which is the cluster, has come.
  const width = () => page.locator('#results').evaluate((table) => table.getBoundingClientRect().width);
  const whole = await width();
  await page.locator('#cluster').evaluate((cluster) => cluster.remove());
  expect(await width()).toBe(whole);
});

test('5,000 rows are scrolled and sorted without delay', async ({ cluster, page }) => {
  const { site } = cluster;
  await cluster.workers(2);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  const urls = site.urls(5000);
  await page.setViewportSize({ width: 1440, height: 900 });
  await visitor.take(web.url, urls);
  await visitor.complete(120_000);
  await expect(visitor.rows).toHaveCount(5000);
  await visitor.expectSums(site, urls);

  // Dropped frames while scrolling from end to end.
  const frames = await page.evaluate(async () => {
    const times = [];
    const step = document.documentElement.scrollHeight / 120;
    for (let number = 0; number < 120; number += 1) {
      const start = performance.now();
      window.scrollBy(0, step);
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b);
  });
  expect(frames[Math.floor(frames.length * 0.9)], 'most frames').toBeLessThan(250);

  await page.evaluate(() => window.scrollTo(0, 0));
  const took = await page.evaluate(async () => {
    const button = document.querySelector('#results th[data-key="sum"] button');
    const start = performance.now();
    button.click();
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    return performance.now() - start;
  });
  expect(took, 'milliseconds').toBeLessThan(1500);
  const sums = (await visitor.shown()).map((row) => row.sum);
  expect(sums).toEqual([...sums].sort());
});
