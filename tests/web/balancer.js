// A load balancer that sends each request to any of its servers.

import http from 'node:http';

export class Balancer {
  targets = [];
  counts = new Map();
  #server;

  static async start() {
    const balancer = new Balancer();
    balancer.#server = http.createServer((request, response) => balancer.#pass(request, response));
    balancer.#server.listen(0, '127.0.0.1');
    await new Promise((resolve) => balancer.#server.once('listening', resolve));
    balancer.origin = `http://127.0.0.1:${balancer.#server.address().port}`;
    return balancer;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #pass(request, response) {
    const target = this.targets[Math.floor(Math.random() * this.targets.length)];
    this.counts.set(target, (this.counts.get(target) ?? 0) + 1);
    const { hostname, port } = new URL(target);
    const { method, url: path, headers } = request;
    const passed = http.request({ hostname, port, method, path, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    passed.on('error', () => {
      if (!response.headersSent) response.writeHead(502);
      response.end();
    });
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  }
}
