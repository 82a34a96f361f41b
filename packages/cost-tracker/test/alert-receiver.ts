import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as the receiver got it. */
export interface Received {
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly level: string;
}

/** How a request is answered: with a status and headers, cut off after it was read, or never. */
export type Reply = number | [number, Record<string, string>] | 'cut' | 'never';

/** A real receiver of alerts on the loopback interface. */
export class AlertReceiver implements AsyncDisposable {
  readonly received: Received[] = [];
  /** How the next requests are answered; 204 when it is empty. */
  readonly replies: Reply[] = [];
  /** How every request is answered that `replies` says nothing of. */
  usual: Reply = 204;
  readonly #server: Server;
  readonly #open = new Set<ServerResponse>();

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      this.#open.add(response);
      response.on('close', () => this.#open.delete(response));
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        const url = new URL(request.url ?? '', 'http://receiver');
        const level = /warning|critical|blocked/.exec(body)?.[0] ?? '';
        this.received.push({ url, headers: request.headers, body, level });
        this.#reply(response, this.replies.shift() ?? this.usual);
      });
    });
  }

  static async start(): Promise<AlertReceiver> {
    const receiver = new AlertReceiver();
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  /** Its address, with a query that nobody else is to see. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook?key=sesame`;
  }

  get levels(): string[] {
    return this.received.map(({ level }) => level);
  }

  get ids(): unknown[] {
    return this.received.map(({ headers }) => headers['webhook-id']);
  }

  /** Answers every request that was left open. */
  release(status = 204): void {
    for (const response of this.#open) response.writeHead(status).end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close').catch(() => {});
  }

  #reply(response: ServerResponse, reply: Reply): void {
    if (reply === 'never') return;
    if (reply === 'cut') response.destroy();
    else if (typeof reply === 'number') response.writeHead(reply).end('what it says is not for the log');
    else response.writeHead(...reply).end();
  }
}
