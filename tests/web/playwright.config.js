import { defineConfig } from '@playwright/test';

// One test after the other: each starts nodes, and the machine is shared with other tests.
export default defineConfig({
  testDir: '.',
  workers: 1,
  forbidOnly: true,
  retries: 0,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: 'list',
  outputDir: `${process.env.HOME}/playwright`,
  use: {
    browserName: 'chromium',
    launchOptions: { executablePath: process.env.PEERL_CHROMIUM },
    actionTimeout: 30_000,
    navigationTimeout: 30_000,
    trace: 'off',
  },
});
