// Pages with known sums for the jobs of the tests.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

/// A web site on a free port. The first part of a path says how it behaves:
///
/// - `/page/NAME` is answered at once, and `/slow/MILLISECONDS/NAME` after a delay;
/// - `/held/NAME` is answered after a call of `release()`;
/// - `/missing/NAME` does not exist;
/// - `/broken/NAME` closes the connection within its answer, until a call of `mend()`.
export class Site {
  #server;
  #held = [];
  #released = false;
  #mended = false;
  counts = new Map();

  static async start() {
    const site = new Site();
    site.#server = createServer((request, response) => site.#answer(request, response));
    // A job may have hundreds of concurrent connections here.
    site.#server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
    await new Promise((resolve) => site.#server.once('listening', resolve));
    site.origin = `http://127.0.0.1:${site.#server.address().port}`;
    return site;
  }

  url(path) {
    return `${this.origin}/${path}`;
  }

  urls(count, kind = 'page') {
    return Array.from({ length: count }, (_, number) => this.url(`${kind}/${number}`));
  }

  /// The contents of a page.
  body(url) {
    const { pathname } = new URL(url);
    return `this is ${pathname}\n`.repeat(1 + (pathname.length % 7));
  }

  /// The SHA-256 of a page's contents.
  sum(url) {
    return createHash('sha256').update(this.body(url)).digest('hex');
  }

  /// The environment of a worker that uses this site as its proxy.
  get proxy() {
    return { http_proxy: this.origin };
  }

  count(url) {
    return this.counts.get(new URL(url).pathname) ?? 0;
  }

  release() {
    this.#released = true;
    this.#held.splice(0).forEach((answer) => answer());
  }

  mend() {
    this.#mended = true;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #answer(request, response) {
    const { pathname } = new URL(request.url, this.origin);
    const [kind, delay] = pathname.slice(1).split('/');
    this.counts.set(pathname, (this.counts.get(pathname) ?? 0) + 1);
    const whole = () => response.end(this.body(new URL(request.url, this.origin)));
    if (kind === 'missing') {
      response.writeHead(404).end('nothing is here\n');
    } else if (kind === 'broken' && !this.#mended) {
      response.writeHead(200, { 'content-length': 1000 }).write('half');
      setTimeout(() => response.destroy(), 10);
    } else if (kind === 'held' && !this.#released) {
      this.#held.push(whole);
    } else if (kind === 'slow') {
      setTimeout(whole, Number(delay));
    } else {
      whole();
    }
  }
}
