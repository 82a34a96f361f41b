import { EventEmitter } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import Fastify from 'fastify';
import { Hono } from 'hono';
import { describe, expect, test, vi } from 'vitest';
import { expressLimit } from '../../src/express.ts';
import { fastifyLimit } from '../../src/fastify.ts';
import { honoLimit } from '../../src/hono.ts';
import { limitHandler, type NodeRequest, type NodeResponse, nodeLimit } from '../../src/http.ts';
import { concurrency, per, RateLimiter, tokenBucket } from '../../src/index.ts';

const make = () => new RateLimiter({ limits: [tokenBucket({ name: 'one', rate: per(1, 'minute') })], clock: new ManualClock() });
const subject = () => {};

describe('Fastify', () => {
  test('limits the routes of the scope that registers the plugin, and of those within it', async () => {
    const app = Fastify();
    app.register((scope, _options, done) => {
      scope.register(fastifyLimit({ limiter: make(), subject }));
      scope.get('/limited', async () => 'yes');
      scope.register((inner, _inner, ready) => {
        inner.get('/within', async () => 'yes');
        ready();
      });
      done();
    });
    app.get('/free', async () => 'yes');
    const statuses = [];
    for (const url of ['/free', '/limited', '/within', '/free']) statuses.push((await app.inject(url)).statusCode);
    expect(statuses).toEqual([200, 200, 429, 200]);
    await app.close();
  });

  test('has the body for the cost in preHandler', async () => {
    const app = Fastify();
    const limiter = new RateLimiter({ limits: [tokenBucket({ rate: per(10, 'minute') })], clock: new ManualClock() });
    const cost = ({ body }: { body: unknown } & NodeRequest) => (body as { n: number }).n;
    await app.register(fastifyLimit({ limiter, subject, cost, hook: 'preHandler' }));
    app.post('/', async () => 'yes');
    const response = await app.inject({ method: 'POST', url: '/', payload: { n: 7 } });
    expect([response.statusCode, response.headers['ratelimit']]).toEqual([200, '"requests";r=3;t=6']);
    await app.close();
  });

  test('gives a place back also where requests are injected', async () => {
    const app = Fastify();
    const limiter = new RateLimiter({ limits: [concurrency({ limit: 1 })], clock: new ManualClock() });
    await app.register(fastifyLimit({ limiter, subject }));
    app.get('/', async () => 'yes');
    for (let i = 0; i < 3; i += 1) expect((await app.inject('/')).statusCode).toBe(200);
    await app.close();
  });
});

test('Hono adds the headers to whatever a route answers', async () => {
  const app = new Hono();
  app.use(honoLimit({ limiter: new RateLimiter({ clock: new ManualClock() }), subject }));
  app.get('/elsewhere', () => Response.redirect('http://elsewhere.test/', 302));
  const responses = [await app.request('/elsewhere'), await app.request('/missing')];
  expect(responses.map(({ status, headers }) => [status, headers.get('ratelimit')])).toEqual([
    [302, '"requests";r=9;t=1'],
    [404, '"requests";r=8;t=1'],
  ]);
});

describe('node:http', () => {
  const request: NodeRequest = { headers: {}, socket: {} };
  const answer = () => Object.assign(new EventEmitter(), { statusCode: 200, setHeader: () => {}, end: () => {} }) as NodeResponse;

  test('calls next where the request is let through, and only there', async () => {
    const limit = nodeLimit({ limiter: make(), subject });
    const next = vi.fn();
    expect([await limit(request, answer(), next), await limit(request, answer(), next)]).toEqual([true, false]);
    expect(next.mock.calls).toEqual([[]]);
  });

  test('hands errors to next, and rejects where there is none', async () => {
    const error = new Error('whose?');
    const limit = nodeLimit({
      limiter: make(),
      subject: () => {
        throw error;
      },
    });
    const next = vi.fn();
    expect(await limit(request, answer(), next)).toBe(false);
    expect(next.mock.calls).toEqual([[error]]);
    await expect(limit(request, answer())).rejects.toBe(error);
  });

  test('does not call next twice where next throws', async () => {
    const next = vi.fn(() => {
      throw new Error('of the route');
    });
    await expect(nodeLimit({ limiter: make(), subject })(request, answer(), next)).rejects.toThrow('of the route');
    expect(next).toHaveBeenCalledTimes(1);
  });

  test('does not hold a place for a response that had ended before', async () => {
    const limiter = new RateLimiter({ limits: [concurrency({ limit: 1 })], clock: new ManualClock() });
    const next = vi.fn();
    expect(await nodeLimit({ limiter, subject })(request, Object.assign(answer(), { destroyed: true }), next)).toBe(false);
    expect(next).not.toHaveBeenCalled();
    expect((await limiter.peek()).allowed).toBe(true);
  });

  test('follows limits that are changed while a request is decided about', async () => {
    const limiter = new RateLimiter({ clock: new ManualClock() });
    const limit = nodeLimit({ limiter, subject: () => limiter.reconfigure([concurrency({ limit: 1 })]) });
    const response = answer();
    expect(await limit(request, response)).toBe(true);
    expect((await limiter.peek()).allowed).toBe(false);
    (response as unknown as EventEmitter).emit('close');
    await vi.waitFor(async () => expect((await limiter.peek()).allowed).toBe(true));
  });
});

describe('options', () => {
  const adapters = {
    nodeLimit,
    expressLimit,
    fastifyLimit,
    honoLimit,
    limitHandler: (options: object) =>
      limitHandler({ handler: () => new Response(), ...(options as { limiter: RateLimiter; subject: () => void }) }),
  };

  test.each(Object.entries(adapters))('of %s that are not allowed are refused by name', (name, adapter) => {
    const given = (options: object) => () => (adapter as (options: object) => unknown)({ limiter: make(), subject, ...options });
    expect(given({})).not.toThrow();
    expect(given({ key: subject })).toThrow(`${name}: unknown option 'key'`);
    expect(given({ limiter: undefined })).toThrow(`${name}: limiter must be a RateLimiter`);
    expect(given({ subject: undefined })).toThrow(`${name}: subject must be a function, not undefined`);
    for (const option of ['cost', 'skip', 'onRefused', 'settle']) {
      expect(given({ [option]: 7 })).toThrow(`${name}: ${option} must be a function, not 7`);
    }
    expect(given({ headers: 'draft-8' })).toThrow(/headers must be/);
  });

  test('of one adapter alone are checked there', () => {
    expect(() => fastifyLimit({ limiter: make(), subject, hook: 'onSend' as 'onRequest' })).toThrow(
      /hook must be onRequest or preHandler, not 'onSend'/,
    );
    expect(() => limitHandler({ limiter: make(), subject, handler: 7 as never })).toThrow(/handler must be a function, not 7/);
    expect(() => honoLimit({ limiter: make(), subject, hook: 'onRequest' } as never)).toThrow(/unknown option 'hook'/);
  });
});
