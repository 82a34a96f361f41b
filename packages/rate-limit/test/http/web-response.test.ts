import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ManualClock, until } from '@tidegate/test-kit';
import { describe, expect, test, vi } from 'vitest';
import { honoLimit } from '../../src/hono.ts';
import { limitHandler } from '../../src/http.ts';
import { concurrency, RateLimiter } from '../../src/index.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const make = () => new RateLimiter<string>({ key: (user) => user, limits: [concurrency({ limit: 1 })], clock: new ManualClock() });

/** A handler as each of the two makes it, and the limiter whose only place its requests hold. */
const kinds = {
  limitHandler: (limiter: RateLimiter<string>, handler: (request: Request) => Response | Promise<Response>) =>
    limitHandler({ limiter, subject: () => 'mina', handler }),
  'honoLimit away from Node': (limiter: RateLimiter<string>, handler: (request: Request) => Response | Promise<Response>) => {
    const limit = honoLimit({ limiter, subject: () => 'mina' });
    return async (request: Request): Promise<Response> => {
      const context = {
        req: { method: request.method, raw: request },
        env: {},
        res: new Response(),
        header: (name: string, value: string) => {
          context.res = new Response(context.res.body, context.res);
          context.res.headers.set(name, value);
        },
      };
      const refusal = await limit(context, async () => {
        context.res = await handler(request);
      });
      return refusal ?? context.res;
    };
  },
};

const request = (method = 'GET') => new Request('http://service.test/', { method });

function streamed(text: string): Response {
  return new Response(new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(text)) }));
}

describe.each(Object.entries(kinds))('with %s, a place', (_, make_) => {
  const free = (limiter: RateLimiter<string>) => async () => (await limiter.peek('mina')).allowed;

  test('is held while the body is read, and free when it was read', async () => {
    const limiter = make();
    const response = await make_(limiter, () => new Response('hello'))(request());
    expect(await free(limiter)()).toBe(false);
    expect(response.headers.get('ratelimit')).toContain('r=0');
    expect(await response.text()).toBe('hello');
    await until(free(limiter), { what: 'the place' });
  });

  test('is free when the body is cancelled, which its source is told', async () => {
    const limiter = make();
    const cancel = vi.fn();
    const body = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1)), cancel });
    const response = await make_(limiter, () => new Response(body))(request());
    const reader = (response.body as ReadableStream).getReader();
    await reader.read();
    expect(await free(limiter)()).toBe(false);
    await reader.cancel('enough');
    expect(cancel).toHaveBeenCalledWith('enough');
    await until(free(limiter), { what: 'the place' });
  });

  test('is free when the body breaks off, and the reader gets the error', async () => {
    const limiter = make();
    const body = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(new Error('broken')) });
    const response = await make_(limiter, () => new Response(body))(request());
    await expect(response.text()).rejects.toThrow('broken');
    await until(free(limiter), { what: 'the place' });
  });

  test('is free at once where nobody will read a body', async () => {
    const bodiless: [string, Response][] = [
      ['HEAD', new Response('hello')],
      ['GET', new Response(null, { status: 204 })],
      ['GET', Response.redirect('http://elsewhere.test/', 302)],
    ];
    const limiter = make();
    for (const [method, response] of bodiless) {
      const answer = await make_(limiter, () => response)(request(method));
      expect(answer.status).toBe(response.status);
      expect(answer.headers.get('ratelimit')).toContain('r=0');
      await until(free(limiter), { what: 'the place' });
    }
  });

  test('is free when the answer is dropped and collected', async () => {
    const limiter = make();
    await make_(limiter, () => streamed('first'))(request());
    await until(
      () => {
        collectGarbage();
        return free(limiter)();
      },
      { what: 'the place' },
    );
  });

  test('is free where the handler throws', async () => {
    const limiter = make();
    const failing = make_(limiter, () => Promise.reject(new Error('the handler failed')));
    await expect(failing(request())).rejects.toThrow('the handler failed');
    await until(free(limiter), { what: 'the place' });
  });
});

test('the body is passed on as it comes, and no sooner than it is read', async () => {
  let pulled = 0;
  const body = new ReadableStream(
    {
      pull: (controller) => {
        pulled += 1;
        controller.enqueue(new TextEncoder().encode(`${pulled}`));
        if (pulled === 3) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const response = await kinds.limitHandler(
    make(),
    () => new Response(body, { status: 201, statusText: 'Made', headers: { 'x-kept': 'yes' } }),
  )(request());
  expect(pulled).toBe(0);
  expect([response.status, response.statusText, response.headers.get('x-kept')]).toEqual([201, 'Made', 'yes']);
  expect(await response.text()).toBe('123');
});
