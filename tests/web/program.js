// A `peerl` process that ends with the test.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/// Long, since the machine may be busy with other tests.
export const A_WHILE = 60_000;

/// The environment without variables that change the behaviour of `peerl`.
function environment() {
  const kept = Object.entries(process.env).filter(([name]) => !/^PEERL_|_proxy$/i.test(name));
  return { ...Object.fromEntries(kept), PEERL_COOKIE: process.env.PEERL_COOKIE };
}

export class Program {
  #child;
  #lines = [];
  #waiting = new Set();

  /// Starts `peerl` with these arguments.
  constructor(args, more = {}) {
    this.label = `peerl ${args.join(' ')}`;
    this.#child = spawn(process.env.PEERL_BIN, args, { env: { ...environment(), ...more }, stdio: 'pipe' });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines.push(line);
        this.#waiting.forEach((look) => look());
      });
    }
    this.ended = new Promise((resolve) => this.#child.on('close', (code, signal) => resolve(code ?? signal)));
    this.ended.then(() => this.#waiting.forEach((look) => look()));
  }

  get pid() {
    return this.#child.pid;
  }

  get output() {
    return this.#lines.join('\n');
  }

  /// Waits for a line that matches, and returns the match.
  async line(pattern) {
    return await new Promise((resolve, reject) => {
      const done = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle(value);
      };
      const problem = (what) => new Error(`${this.label}: ${what} without a line ${pattern}:\n${this.output}`);
      const look = () => {
        const match = this.#lines.map((line) => line.match(pattern)).find(Boolean);
        if (match) done(resolve, match);
        else if (this.#child.exitCode !== null || this.#child.signalCode !== null) done(reject, problem('ended'));
      };
      const timer = setTimeout(() => done(reject, problem(`${A_WHILE} ms`)), A_WHILE);
      this.#waiting.add(look);
      look();
    });
  }

  /// Sends a signal, to this process alone.
  signal(name) {
    this.#child.kill(name);
  }

  /// Kills it (SIGKILL) and waits for its end.
  async kill() {
    this.signal('SIGCONT');
    this.signal('SIGKILL');
    await this.ended;
  }
}
