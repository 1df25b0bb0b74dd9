// The page, as a visitor uses it.

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
    // Like pasting: `fill` takes minutes for thousands of lines.
    if (text.length > 10_000) await this.text.evaluate((area, text) => { area.value = text; }, text);
    else await this.text.fill(text);
  }

  /// Starts a job for these URLs; ends on the job's page.
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

  /// The displayed rows.
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

  /// Each of these has the right sum in its row.
  async expectSums(site, urls) {
    const expected = urls.map((url, index) => ({ index, url, state: 'done', sum: site.sum(url) }));
    const shown = await this.shown();
    expect(shown.map(({ index, url, state, sum }) => ({ index, url, state, sum }))).toEqual(expected);
  }
}

/// The browser's errors: of scripts, and violations of the content security policy.
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
