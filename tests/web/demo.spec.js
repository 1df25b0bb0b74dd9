// `peerl demo --web`.

import { expect, test } from './cluster.js';
import { JobPage, complaints } from './job_page.js';

test('a newcomer opens the page, and takes the checksums of what is there', async ({ cluster, page }) => {
  const demo = cluster.program(['demo', '--web']);
  const [url] = await demo.line(/http:\/\/\S+:\d+\/(?=\s|$)/);
  const heard = complaints(page);
  const visitor = new JobPage(page);
  await page.goto(url);
  await expect(visitor.text, 'the form holds an example').not.toHaveValue('');
  await visitor.button('Take checksums').click();
  await page.waitForURL(/\/jobs\//);
  await visitor.complete();
  expect((await visitor.shown()).filter((row) => row.state === 'done').length).toBeGreaterThan(0);
  await expect(page.locator('#nodes tbody tr')).toHaveCount(3);
  expect(heard).toEqual([]);
  demo.signal('SIGINT');
  await demo.ended;
});
