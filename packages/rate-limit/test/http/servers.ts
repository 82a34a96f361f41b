import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { serve } from '@hono/node-server';
import { until } from '@tidegate/test-kit';
import express, { type Request as ExpressRequest, type Response as ExpressResponse, type NextFunction } from 'express';
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { type Context, Hono } from 'hono';
import { expressLimit } from '../../src/express.ts';
import { fastifyLimit } from '../../src/fastify.ts';
import { honoLimit } from '../../src/hono.ts';
import { type HttpLimitOptions, limitHandler, nodeLimit, type RefusalAnswer } from '../../src/http.ts';
import type { Refused } from '../../src/index.ts';

/** What the routes of every server wait for and tell. */
export interface Routes {
  /** `/slow` answers, and `/stream` ends, when this has resolved. */
  readonly gate: Promise<void>;
  /** Called where a route begins. */
  readonly begun: (path: string) => void;
}

/** Options as they are alike everywhere, over a reader of headers and paths. */
export interface Asked extends Pick<HttpLimitOptions<string, never, never>, 'limiter' | 'headers'> {
  readonly onRefused?: (refused: Refused) => RefusalAnswer;
  readonly subject?: (user: string) => string;
  readonly cost?: (path: string) => number;
  readonly skip?: (path: string) => boolean;
  readonly settle?: (status: number) => number | undefined;
}

/** A server under test. */
export interface Started {
  readonly url: string;
  /** Resolves when no connection is open. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

interface Reader<Request, Answer> {
  user(request: Request): string;
  path(request: Request): string;
  status(answer: Answer): number;
}

function optionsFor<Request, Answer>(
  { subject = (user) => user, cost, skip, settle, ...rest }: Asked,
  read: Reader<Request, Answer>,
): HttpLimitOptions<string, Request, Answer> {
  return {
    ...rest,
    subject: (request) => subject(read.user(request)),
    ...(cost === undefined ? {} : { cost: (request: Request) => cost(read.path(request)) }),
    ...(skip === undefined ? {} : { skip: (request: Request) => skip(read.path(request)) }),
    ...(settle === undefined ? {} : { settle: (_: Request, answer: Answer) => settle(read.status(answer)) }),
  };
}

const nodeReader = {
  user: ({ headers }: IncomingMessage) => String(headers['x-user'] ?? ''),
  path: ({ url }: IncomingMessage) => url ?? '',
  status: ({ statusCode }: ServerResponse) => statusCode,
};

function encoded(gate: Promise<void>): ReadableStream<Uint8Array> {
  const text = (words: string) => new TextEncoder().encode(words);
  return new ReadableStream({
    async start(controller) {
      controller.enqueue(text('first'));
      await gate;
      try {
        controller.enqueue(text('last'));
        controller.close();
      } catch {} // cancelled meanwhile
    },
  });
}

async function answerNode(path: string, response: ServerResponse, { gate, begun }: Routes): Promise<void> {
  begun(path);
  if (path === '/throws') throw new Error('the route failed');
  if (path === '/slow') await gate;
  if (path === '/stream') {
    response.write('first');
    await gate;
  }
  response.end(path === '/stream' ? 'last' : 'hello');
}

async function answerWeb(path: string, { gate, begun }: Routes): Promise<Response> {
  begun(path);
  if (path === '/throws') throw new Error('the route failed');
  if (path === '/slow') await gate;
  return new Response(path === '/stream' ? encoded(gate) : 'hello');
}

async function listening(server: Server, opening = false): Promise<Started> {
  if (server.address() === null) {
    const open = once(server, 'listening');
    if (!opening) server.listen(0, '127.0.0.1');
    await open;
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    idle: async () => {
      const connections = promisify(server.getConnections.bind(server));
      await until(async () => (await connections()) === 0, { what: 'the end of the connections' });
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const handled = (error: unknown) => `handled: ${(error as Error).message}`;

function node(asked: Asked, routes: Routes): Promise<Started> {
  const limit = nodeLimit(optionsFor<IncomingMessage, ServerResponse>(asked, nodeReader));
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    if (await limit(request, response)) await answerNode(nodeReader.path(request), response, routes);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      response.statusCode = 500;
      response.end(handled(error));
    });
  });
  return listening(server);
}

function expressServer(asked: Asked, routes: Routes): Promise<Started> {
  const app = express();
  app.use(expressLimit(optionsFor<ExpressRequest, ExpressResponse>(asked, nodeReader)));
  app.use((request: ExpressRequest, response: ExpressResponse) => answerNode(request.path, response, routes));
  app.use((error: Error, _request: ExpressRequest, response: ExpressResponse, _next: NextFunction) => {
    response.status(500).send(handled(error));
  });
  return listening(createServer(app));
}

function fastifyServer(hook: 'onRequest' | 'preHandler') {
  return async (asked: Asked, routes: Routes): Promise<Started> => {
    const app = Fastify();
    const reader = {
      user: ({ raw }: FastifyRequest) => nodeReader.user(raw),
      path: ({ raw }: FastifyRequest) => nodeReader.path(raw),
      status: ({ raw }: FastifyReply) => raw.statusCode,
    };
    await app.register(fastifyLimit({ ...optionsFor<FastifyRequest, FastifyReply>(asked, reader), hook }));
    app.setErrorHandler((error, _request, reply) => reply.code(500).send(handled(error)));
    app.get('/*', async (request, reply) => {
      const path = reader.path(request);
      if (path !== '/stream') return (await answerWeb(path, routes)).text();
      routes.begun(path);
      return reply.send(new Response(encoded(routes.gate)));
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    const { url, idle } = await listening(app.server);
    return {
      url,
      idle,
      close: async () => {
        app.server.closeAllConnections();
        await app.close();
      },
    };
  };
}

function honoServer(asked: Asked, routes: Routes): Promise<Started> {
  return listening(serve({ fetch: honoApp(asked, routes).fetch, port: 0, hostname: '127.0.0.1' }) as Server, true);
}

/** The application of Hono, without a server. */
export function honoApp(asked: Asked, routes: Routes): Hono {
  const app = new Hono();
  const reader = {
    user: (c: Context) => c.req.header('x-user') ?? '',
    path: (c: Context) => c.req.path,
    status: ({ status }: Response) => status,
  };
  app.use(honoLimit(optionsFor<Context, Response>(asked, reader)));
  app.get('*', (c) => answerWeb(c.req.path, routes));
  app.onError((error, c) => c.text(handled(error), 500));
  return app;
}

/** The web-standard handler, without a server. */
export function webHandler(asked: Asked, routes: Routes): (request: Request) => Promise<Response> {
  const path = (request: Request) => new URL(request.url).pathname;
  const reader = { path, user: (request: Request) => request.headers.get('x-user') ?? '', status: ({ status }: Response) => status };
  return limitHandler({ ...optionsFor<Request, Response>(asked, reader), handler: (request) => answerWeb(path(request), routes) });
}

function web(asked: Asked, routes: Routes): Promise<Started> {
  const handler = webHandler(asked, routes);
  const fetch = (request: Request) => handler(request).catch((error) => new Response(handled(error), { status: 500 }));
  return listening(serve({ fetch, port: 0, hostname: '127.0.0.1' }) as Server, true);
}

/** A server for each adapter, with the same routes. */
export const adapters: Readonly<Record<string, (asked: Asked, routes: Routes) => Promise<Started>>> = {
  'node:http': node,
  'Express 5': expressServer,
  'Fastify 5, onRequest': fastifyServer('onRequest'),
  'Fastify 5, preHandler': fastifyServer('preHandler'),
  'Hono on Node': honoServer,
  'a web-standard handler on Node': web,
};
