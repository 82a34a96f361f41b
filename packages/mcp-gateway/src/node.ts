import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isLoopback } from './access.ts';
import type { Gateway } from './gateway.ts';
import { BodyTooLarge, type HttpReply, type HttpRequest, mostUnread } from './wire/exchange.ts';

/** Where a gateway listens. */
export interface ServeOptions {
  /** 0 takes a free one. @defaultValue `7300` */
  readonly port?: number;
  /** Any other than the loopback interface needs a gateway with tokens. @defaultValue `'127.0.0.1'` */
  readonly host?: string;
}

/** A gateway that listens. */
export interface Served {
  /** The address of the protocol's endpoint. */
  readonly url: string;
  /** The port, also where a free one was asked for. */
  readonly port: number;
  /** The server itself, for its own events and time limits. */
  readonly server: Server;
  /** Stops listening and closes the gateway. Idempotent. */
  close(): Promise<void>;
}

/**
 * Serves a gateway over HTTP.
 *
 * @throws RangeError for an address beyond this machine without tokens; the listen error, such as `EADDRINUSE`. The gateway is
 * closed then.
 */
export async function serve(gateway: Gateway, options: ServeOptions = {}): Promise<Served> {
  const { port = 7300, host = '127.0.0.1' } = options;
  try {
    if (gateway.open && !isLoopback(host)) {
      throw new RangeError(`host '${host}' can be reached from other machines; that needs tokens in the configuration`);
    }
    const server = createServer((request, response) => {
      void gateway.handle(exchangeOf(request), replyTo(response));
    });
    const origin = await listen(server, port, host);
    gateway.listensAt(origin);
    return {
      url: `${origin}/mcp`,
      port: (server.address() as AddressInfo).port,
      server,
      close: () => stop(server, () => gateway.close()),
    };
  } catch (error) {
    await gateway.close();
    throw error;
  }
}

/** Something that serves until it is closed. */
export interface Closable {
  /** Stops. */
  close(): Promise<void>;
}

/**
 * Serves nothing but the pages on which people sign in to servers, on a free port of this machine: for a gateway whose clients
 * speak to it over their standard streams. Does nothing where there is nothing to sign in to, or `publicUrl` says where.
 */
export async function serveSignIns(gateway: Gateway): Promise<Closable> {
  if (!gateway.needsAddress) return { close: async () => {} };
  const server = createServer((request, response) => {
    const exchange = exchangeOf(request);
    if (exchange.path.startsWith('/oauth/')) void gateway.handle(exchange, replyTo(response));
    else response.writeHead(404).end();
  });
  gateway.listensAt(await listen(server, 0, '127.0.0.1'));
  return { close: () => stop(server, async () => {}) };
}

async function listen(server: Server, port: number, host: string): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { address, family, port: taken } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`;
}

/** How long the last answers may take to leave, in ms. */
const answersMs = 500;

async function stop(server: Server, end: () => Promise<void>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await end();
  server.closeIdleConnections();
  const impatient = setTimeout(() => server.closeAllConnections(), answersMs);
  await closed;
  clearTimeout(impatient);
}

function exchangeOf(request: IncomingMessage): HttpRequest {
  const url = request.url ?? '/';
  const query = url.indexOf('?');
  return {
    method: request.method ?? 'GET',
    path: query < 0 ? url : url.slice(0, query),
    query: query < 0 ? '' : url.slice(query + 1),
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body: (most) => bodyOf(request, most),
  };
}

function bodyOf(request: IncomingMessage, most: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    request.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.length;
      if (length <= most) return;
      request.pause();
      request.removeAllListeners('data');
      reject(new BodyTooLarge(most));
    });
    request.once('end', () => resolve(Buffer.concat(parts).toString('utf8')));
    request.once('error', reject);
  });
}

function replyTo(response: ServerResponse): HttpReply {
  return {
    send: (status, headers, body = '') => {
      const length = status === 204 ? {} : { 'content-length': Buffer.byteLength(body) };
      response.writeHead(status, { ...headers, ...length });
      response.end(body);
    },
    stream: (status, headers) => {
      response.writeHead(status, headers);
      response.flushHeaders();
      return {
        write: (text) => {
          if (response.writableEnded) return;
          response.write(text);
          if (response.writableLength > mostUnread) response.destroy();
        },
        end: () => response.end(),
        onClose: (fn) => {
          if (response.closed) fn();
          else response.once('close', fn);
        },
      };
    },
    onGone: (fn) => {
      response.once('close', () => {
        if (!response.writableFinished) fn();
      });
    },
  };
}
