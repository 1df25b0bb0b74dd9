// What a visitor sees and does on the page.

import { expect } from '@playwright/test';

export class JobPage {
  constructor(page) {
    this.page = page;
    this.text = page.getByLabel('Web pages');
    this.rows = page.locator('#results tr[data-index]');
    this.progress = page.locator('#progress');
    this.cluster = page.locator('#cluster');
    this.job = page.locator('#job');
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  row(index) {
    return this.page.locator(`#results tr[data-index="${index}"]`);
  }

  rowsThat(state) {
    return this.page.locator(`#results tr[data-state="${state}"]`);
  }

  /// Writes these into the form.
  async write(urls) {
    const text = Array.isArray(urls) ? urls.join('\n') : urls;
    // Thousands of lines at once, as pasting does it: `fill` takes minutes.
    if (text.length > 10_000) await this.text.evaluate((area, text) => { area.value = text; }, text);
    else await this.text.fill(text);
  }

  /// Has the checksums of these taken; the job's own page is there afterwards.
  async submit(urls) {
    await this.write(urls);
    await this.button('Take checksums').click();
    await this.page.waitForURL(/\/jobs\//);
  }

  /// Opens the form and submits.
  async take(url, urls) {
    await this.page.goto(url);
    await this.submit(urls);
  }

  async complete(timeout = 60_000) {
    await expect(this.job).toHaveAttribute('data-phase', 'done', { timeout });
    await expect(this.rowsThat('waiting')).toHaveCount(0);
    await expect(this.rowsThat('running')).toHaveCount(0);
  }

  /// The rows as they are shown.
  async shown() {
    return await this.rows.evaluateAll((rows) => rows.map((row) => ({
      index: Number(row.dataset.index),
      state: row.dataset.state,
      url: row.querySelector('.url').textContent,
      sum: row.querySelector('.sum').textContent,
      status: row.querySelector('.status').textContent,
      bytes: row.querySelector('.bytes').textContent.replace(/\s/g, ''),
      node: row.querySelector('.node').textContent,
    })));
  }

  /// Each of these has the sum that it must have, at its place.
  async expectSums(site, urls) {
    const expected = urls.map((url, index) => ({ index, url, state: 'done', sum: site.sum(url) }));
    const shown = await this.shown();
    expect(shown.map(({ index, url, state, sum }) => ({ index, url, state, sum }))).toEqual(expected);
  }
}

/// What the browser complains of: errors of scripts, and what the content security policy has kept it from.
export function complaints(page) {
  const list = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) list.push(message.text());
  });
  page.on('pageerror', (error) => list.push(String(error)));
  page.on('dialog', async (dialog) => {
    list.push(`a dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  return list;
}
