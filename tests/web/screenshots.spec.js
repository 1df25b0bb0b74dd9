// Pictures of the page in all its states, widths and themes. With PEERL_SCREENSHOTS=1 those of the documentation are
// written into docs/images.

import { copyFile, mkdir, readFile } from 'node:fs/promises';

import { expect, test } from './cluster.js';
import { JobPage } from './job_page.js';

const SIZES = [
  { width: 390, height: 844 },
  { width: 820, height: 1180 },
  { width: 1440, height: 900 },
];

/// The width and height in a PNG file.
async function size(path) {
  const file = await readFile(path);
  return { width: file.readUInt32BE(16), height: file.readUInt32BE(20) };
}

/// Takes the pictures of a state: the window's contents, and checks that nothing is wider than it.
async function shoot(page, info, state) {
  for (const colorScheme of ['light', 'dark']) {
    for (const viewport of SIZES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize(viewport);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(overflow, `${state}, ${viewport.width}: the page does not scroll sideways`).toBeLessThanOrEqual(0);
      const path = info.outputPath(`${state}-${viewport.width}-${colorScheme}.png`);
      await page.screenshot({ path, caret: 'hide', animations: 'disabled' });
      expect(await size(path)).toEqual(viewport);
      const whole = info.outputPath(`${state}-${viewport.width}-${colorScheme}-whole.png`);
      if (state !== 'rows') await page.screenshot({ path: whole, fullPage: true, caret: 'hide', animations: 'disabled' });
    }
  }
}

/// The picture of the documentation.
async function document(page, info, name) {
  const path = info.outputPath(`${name}.png`);
  await page.screenshot({ path, caret: 'hide', animations: 'disabled' });
  if (process.env.PEERL_SCREENSHOTS !== '1') return;
  const images = new URL('../../docs/images/', import.meta.url);
  await mkdir(images, { recursive: true });
  await copyFile(path, new URL(`${name}.png`, images));
}

async function named(cluster, names) {
  return await Promise.all(names.map((name) => cluster.worker({ name: `${name}@127.0.0.1`, environment: cluster.site.proxy })));
}

/// Pages of the Internet, as the documentation may show them.
function publicPages(count) {
  const hosts = ['www.example.org', 'www.example.com', 'www.example.net'];
  const paths = ['', 'about', 'docs/install', 'docs/tutorial', 'news/2026/11', 'contact', 'api/status', 'blog/clusters'];
  return Array.from({ length: count }, (_, number) => {
    const path = paths[Math.floor(number / hosts.length) % paths.length];
    const round = Math.floor(number / (hosts.length * paths.length));
    return `http://${hosts[number % hosts.length]}/${path}${round ? `?page=${round + 1}` : ''}`;
  });
}

test('a job, from the form to its results', async ({ cluster, page }, info) => {
  const { site } = cluster;
  await named(cluster, ['amsterdam', 'berlin', 'lisbon']);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await page.goto(web.url);
  await expect(visitor.cluster).toHaveAttribute('data-state', 'whole');
  await shoot(page, info, 'empty');
  const held = Array.from({ length: 12 }, (_, number) => `http://www.example.net/held/report-${number + 1}`);
  await visitor.submit([...publicPages(30), ...held]);
  await expect(visitor.rowsThat('done')).toHaveCount(30);
  await expect(visitor.rowsThat('running')).toHaveCount(12);
  await shoot(page, info, 'running');
  site.release();
  await visitor.complete();
  await shoot(page, info, 'done');
  await page.setViewportSize({ width: 1440, height: 900 });
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await document(page, info, `web-${colorScheme}`);
  }
  await page.goto(web.url);
  const failing = ['http://www.example.org/broken/a', 'http://www.example.org/missing/b', 'http://127.0.0.1:1/'];
  await visitor.submit([...publicPages(5), ...failing, 'http://no-such-host.invalid/with/a/very/long/path/that/goes/on?and=on&and=on']);
  await visitor.complete();
  await shoot(page, info, 'failed');
  await page.goto(web.url);
  await visitor.text.fill('http://www.example.org/\nnonsense\nftp://www.example.org/');
  await visitor.button('Take checksums').click();
  await expect(page.getByRole('alert')).toBeVisible();
  await shoot(page, info, 'bad-line');
});

test('5,000 rows', async ({ cluster, page }, info) => {
  await named(cluster, ['amsterdam', 'berlin', 'lisbon']);
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await visitor.take(web.url, publicPages(5000));
  await visitor.complete(120_000);
  await page.evaluate(() => window.scrollTo(0, 40_000));
  await shoot(page, info, 'rows');
});

test('a cluster without nodes, in parts, and a server that is gone', async ({ cluster, page }, info) => {
  const names = ['amsterdam', 'berlin', 'lisbon', 'madrid', 'oslo'].map((name) => `${name}@127.0.0.1`);
  const web = await cluster.web({ discover: names.flatMap((name) => ['--node', name]) });
  const visitor = new JobPage(page);
  await page.goto(web.url);
  await expect(visitor.cluster).toBeVisible();
  await shoot(page, info, 'no-nodes');
  for (const [index, name] of names.entries()) {
    const first = index < 3 ? 0 : 3;
    await cluster.worker({ name, discover: index === first ? [] : ['--node', names[first]] });
  }
  await expect(visitor.cluster).toHaveAttribute('data-state', 'parted');
  await expect(visitor.cluster).toContainText('2 parts');
  await shoot(page, info, 'parts');
  await web.kill();
  await expect(page.locator('#link')).toBeVisible();
  await shoot(page, info, 'gone');
});

test('60 nodes', async ({ cluster, page }, info) => {
  test.setTimeout(180_000);
  const names = Array.from({ length: 60 }, (_, number) => `node${number + 1}@127.0.0.1`);
  for (let first = 0; first < names.length; first += 10) {
    await Promise.all(names.slice(first, first + 10).map((name) => cluster.worker({ name, interval: '5s' })));
  }
  const web = await cluster.web();
  const visitor = new JobPage(page);
  await page.goto(`${web.url}cluster`);
  await expect(visitor.cluster).toContainText('All 60 nodes see each other.', { timeout: 90_000 });
  await shoot(page, info, 'matrix');
});

test('the login', async ({ cluster, page }, info) => {
  const file = await cluster.file('token', 'correct-horse-battery-staple');
  const web = await cluster.web({ more: ['--token-file', file] });
  await page.goto(web.url);
  await page.getByLabel('Token').fill('wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await shoot(page, info, 'login');
});
