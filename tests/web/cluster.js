// A cluster for each test: workers, web nodes, and pages to fetch. It ends with the test.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { test as base } from '@playwright/test';

import { Program } from './program.js';
import { Site } from './site.js';

/// All nodes at the specification's EPMD.
const EVERYBODY = ['--discover', 'epmd:127.0.0.1'];

let numbers = 0;

export class Cluster {
  #programs = [];

  constructor(site, directory) {
    this.site = site;
    this.directory = directory;
  }

  /// Writes a file with this text; returns its path.
  async file(name, text) {
    const path = join(this.directory, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  }

  /// A name that no other node of this specification has.
  name(basename) {
    numbers += 1;
    return `${basename}${numbers}@127.0.0.1`;
  }

  program(args, environment) {
    const program = new Program(args, environment);
    this.#programs.push(program);
    return program;
  }

  /// A worker that is ready.
  async worker({ name = this.name('w'), discover = EVERYBODY, interval = '500ms', environment = {} } = {}) {
    const own = ['--name', name, '--listen', '127.0.0.1', '--interval', interval, '--until-eof'];
    const worker = this.program(['worker', ...own, ...discover], environment);
    await worker.line(/^ready /);
    return Object.assign(worker, { node: name });
  }

  async workers(count) {
    return await Promise.all(Array.from({ length: count }, () => this.worker()));
  }

  /// A web node (`peerl web`), whose page is at `url`.
  async web({ name, page = '127.0.0.1:0', discover = EVERYBODY, more = [] } = {}) {
    const named = name ? ['--name', name] : [];
    const web = this.program(['web', '--listen', page, '--interval', '500ms', ...named, ...discover, ...more]);
    const [, node, url] = await web.line(/^ready (\S+) (\S+)/);
    return Object.assign(web, { node, url });
  }

  async stop() {
    await Promise.all(this.#programs.map((program) => program.kill()));
    this.site.stop();
  }

  /// The output of all processes.
  get output() {
    return this.#programs.map((program) => `---- ${program.label}\n${program.output}`).join('\n');
  }
}

export const test = base.extend({
  cluster: async ({}, use, info) => {
    const directory = await mkdtemp(join(tmpdir(), 'peerl-web-'));
    const cluster = new Cluster(await Site.start(), directory);
    await use(cluster);
    await cluster.stop();
    if (info.status !== info.expectedStatus) console.log(cluster.output);
    await rm(directory, { recursive: true });
  },
});

export { expect } from '@playwright/test';
