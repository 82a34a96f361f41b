import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ManualClock, until } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { breakerFetch, type PermitBreaker } from '../src/fetch.ts';
import { CircuitBreaker, type CircuitBreakerOptions, isCircuitOpenError } from '../src/index.ts';
import { openedBreaker, outcomeOf } from './calls.ts';
import { json, serve } from './http-answers.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A breaker that writes down what it is told. */
function journal(): { breaker: PermitBreaker<object>; told: string[]; out: () => number; errors: unknown[] } {
  const told: string[] = [];
  const errors: unknown[] = [];
  let out = 0;
  const back = (what: string, error?: unknown) => {
    out -= 1;
    told.push(what);
    errors.push(error);
  };
  const breaker: PermitBreaker<object> = {
    tryAcquire: () => {
      out += 1;
      return {};
    },
    refusal: () => new Error('refused'),
    onSuccess: () => back('success'),
    onFailure: (_, error) => back('failure', error),
    onThrottled: (_, ms, error) => back(`throttled ${ms}`, error),
    release: () => back('ignore'),
  };
  return { breaker, told, out: () => out, errors };
}

const text = 'all of it';
const bytes = new TextEncoder().encode(text);

async function goodAnswer(body = text) {
  const server = await serve((response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.write(body.slice(0, 3));
    setTimeout(() => response.end(body.slice(3)), 5);
  });
  const { breaker, told, out, errors } = journal();
  const response = await breakerFetch({ breaker })(server.url);
  return { response, told, out, errors };
}

describe('a good answer counts when its body has ended', () => {
  it.each<[string, (response: Response) => Promise<unknown>]>([
    ['text', (response) => response.text()],
    ['arrayBuffer', (response) => response.arrayBuffer()],
    ['blob', (response) => response.blob()],
    ['bytes', (response) => (response as unknown as { bytes(): Promise<Uint8Array> }).bytes()],
    ['a new Response of the body', (response) => new Response(response.body).text()],
    ['a clone alone', (response) => response.clone().text()],
    [
      'for await',
      async (response) => {
        for await (const chunk of response.body as ReadableStream<Uint8Array>) expect(chunk).toBeInstanceOf(Uint8Array);
      },
    ],
    ['pipeTo', (response) => (response.body as ReadableStream).pipeTo(new WritableStream())],
    ['pipeThrough', (response) => new Response((response.body as ReadableStream).pipeThrough(new TransformStream())).text()],
    ['tee', (response) => Promise.all((response.body as ReadableStream).tee().map((branch) => new Response(branch).text()))],
    [
      'a BYOB reader',
      async (response) => {
        const reader = (response.body as ReadableStream).getReader({ mode: 'byob' });
        let length = 0;
        for (;;) {
          const { done, value } = await reader.read(new Uint8Array(4));
          length += value?.byteLength ?? 0;
          if (done) break;
        }
        expect(length).toBe(bytes.length);
      },
    ],
  ])('by %s', async (_, read) => {
    const { response, told, out } = await goodAnswer();
    expect(told).toEqual([]);
    expect(out()).toBe(1);
    const value = await read(response);
    if (typeof value === 'string') expect(value).toBe(text);
    expect(told).toEqual(['success']);
    expect(out()).toBe(0);
  });

  it('by json and formData', async () => {
    const { breaker, told } = journal();
    const server = await serve(json({ a: 1 }));
    const guarded = breakerFetch({ breaker });
    expect(await (await guarded(server.url)).json()).toEqual({ a: 1 });
    server.answer((response) => {
      response.writeHead(200, { 'content-type': 'application/x-www-form-urlencoded' }).end('a=1');
    });
    expect((await (await guarded(server.url)).formData()).get('a')).toBe('1');
    expect(told).toEqual(['success', 'success']);
  });

  it.each<[string, () => string | ReadableStream]>([
    ['that closes when it is asked for more', () => text],
    [
      'that was closed beforehand',
      () =>
        new ReadableStream({
          start(controller) {
            controller.enqueue(bytes);
            controller.close();
          },
        }),
    ],
  ])('as soon as the end has come, although nobody asks for it once more, of a stream %s', async (_, body) => {
    const { breaker, told } = journal();
    const response = await breakerFetch({ breaker, fetch: async () => new Response(body()) })('http://made.invalid/');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect((await reader.read()).value).toEqual(new TextEncoder().encode(text));
    await reader.closed;
    expect(told).toEqual(['success']);
  });

  it('and never twice', async () => {
    const { response, told } = await goodAnswer();
    await response.text();
    await expect(response.text()).rejects.toThrow(TypeError);
    await expect(response.json()).rejects.toThrow(TypeError);
    expect(() => response.clone()).toThrow(TypeError);
    expect(told).toEqual(['success']);
  });

  it('and not because of a second reader while the first one reads', async () => {
    const { response, told } = await goodAnswer();
    const first = response.text();
    await expect(response.text()).rejects.toThrow(TypeError);
    expect(told).toEqual([]);
    expect(await first).toBe(text);
    expect(told).toEqual(['success']);
  });

  it('or at once where there is none to come', async () => {
    const { breaker, told } = journal();
    const server = await serve((response, { url, method }) => {
      if (url === '/moved') response.writeHead(302, { location: '/' }).end('over there');
      else if (url === '/empty') response.writeHead(200, { 'content-length': '0' }).end();
      else response.writeHead(method === 'HEAD' ? 200 : 204).end();
    });
    const guarded = breakerFetch({ breaker });
    await guarded(server.url);
    await guarded(server.url, { method: 'HEAD' });
    await guarded(`${server.url}empty`);
    await guarded(`${server.url}moved`, { redirect: 'manual' });
    expect(told).toEqual(['success', 'success', 'success', 'success']);
  });
});

describe('an answer that is not read to its end', () => {
  it('failed if it broke off, with the error that the reader gets', async () => {
    const server = await serve((response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      setTimeout(() => response.destroy(), 5);
    });
    const read = [
      (response: Response) => response.text(),
      (response: Response) => new Response(response.body).text(),
      async (response: Response) => {
        for await (const _ of response.body as ReadableStream) void _;
      },
    ];
    for (const how of read) {
      const { breaker, told, errors } = journal();
      const error = await outcomeOf(how(await breakerFetch({ breaker })(server.url)));
      expect(error).toBeInstanceOf(TypeError);
      expect(told).toEqual(['failure']);
      expect(errors).toEqual([error]);
    }
  });

  it('failed as soon as it broke off, while its reader does something else', async () => {
    let breakOff = () => {};
    const server = await serve((response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half');
      breakOff = () => response.destroy();
    });
    const { breaker, told } = journal();
    const response = await breakerFetch({ breaker })(server.url);
    const reader = (response.body as ReadableStream).getReader();
    await reader.read();
    breakOff();
    await expect(reader.closed).rejects.toThrow(TypeError);
    expect(told).toEqual(['failure']);
  });

  it('failed if it is not the JSON that it was said to be', async () => {
    const server = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('<html>');
    });
    const { breaker, told } = journal();
    await expect((await breakerFetch({ breaker })(server.url)).json()).rejects.toThrow(SyntaxError);
    expect(told).toEqual(['failure']);
  });

  it('is a success if the reader has enough, and nothing if it wanted nothing', async () => {
    const enough = await goodAnswer();
    for await (const _ of enough.response.body as ReadableStream) break;
    expect(enough.told).toEqual(['success']);

    const nothing = await goodAnswer();
    await nothing.response.body?.cancel('not wanted');
    expect(nothing.told).toEqual(['ignore']);
    expect(nothing.response.bodyUsed).toBe(true);
  });

  it('is left when its clones are as well', async () => {
    const { response, told } = await goodAnswer();
    const copy = response.clone();
    const leaving = response.body?.cancel();
    expect(told).toEqual([]);
    await copy.body?.cancel();
    await leaving;
    expect(told).toEqual(['ignore']);
  });

  it('is not left while a clone is read, although the answer itself was cancelled and collected', async () => {
    const server = await serve((response) => {
      response.writeHead(200).write('half');
      ends.push(() => response.end('the rest'));
    });
    const ends: Array<() => void> = [];
    const { breaker, told } = journal();
    const guarded = breakerFetch({ breaker });
    const cancelled = async () => {
      const response = await guarded(server.url);
      const copy = response.clone();
      void response.body?.cancel();
      return copy;
    };
    const copy = await cancelled();
    for (let round = 0; round < 5; round++) {
      await sleep(5);
      collectGarbage();
    }
    expect(told).toEqual([]);
    for (const end of ends) end();
    expect(await copy.text()).toBe('halfthe rest');
    expect(told).toEqual(['success']);
  });

  it('counts as nothing when the caller aborts, read or not, and leaves no listener', async () => {
    const server = await serve((response) => {
      response.writeHead(200).write('half');
    });
    for (const read of [false, true]) {
      const { breaker, told } = journal();
      const caller = new AbortController();
      const request = read ? new Request(server.url, { signal: caller.signal }) : server.url;
      const response = await breakerFetch({ breaker })(request, read ? undefined : { signal: caller.signal });
      const reading = outcomeOf(read ? response.text() : Promise.resolve('unread'));
      caller.abort();
      expect(await reading).toEqual(read ? expect.objectContaining({ name: 'AbortError' }) : 'unread');
      expect(told).toEqual(['ignore']);
      if (!read) expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    }
  });

  it('failed when a time limit runs out', async () => {
    const server = await serve((response) => {
      response.writeHead(200).write('half');
    });
    const { breaker, told } = journal();
    const limit = new AbortController(); // AbortSignal.timeout() by hand, or a busy machine might be late with the headers
    const response = await breakerFetch({ breaker })(server.url, { signal: limit.signal });
    const reading = outcomeOf(response.text());
    limit.abort(new DOMException('too long', 'TimeoutError'));
    expect(await reading).toMatchObject({ name: 'TimeoutError' });
    expect(told).toEqual(['failure']);
  });

  it('gives its permit back when nobody holds it any more', async () => {
    const server = await serve(json({ a: 'x'.repeat(100) }));
    const { breaker, told, out } = journal();
    const guarded = breakerFetch({ breaker });
    const signal = new AbortController().signal; // outlives the answers and must not hold them
    for (let call = 0; call < 5; call++) await guarded(server.url, { signal });
    for (let call = 0; call < 5; call++) void (await guarded(server.url)).body;
    const collected = async () => {
      await sleep(5);
      collectGarbage();
      return out() === 0;
    };
    await until(collected, { what: 'ten permits of answers that were collected' });
    expect(new Set(told)).toEqual(new Set(['ignore']));
  });

  it('keeps its permit while its stream is read, although nobody holds the answer', async () => {
    const ends: Array<() => void> = [];
    const server = await serve((response) => {
      response.writeHead(200).write('half');
      ends.push(() => response.end('the rest'));
    });
    const { breaker, told } = journal();
    const guarded = breakerFetch({ breaker });
    const reading = [(await guarded(server.url)).text(), new Response((await guarded(server.url)).body).text()];
    for (let round = 0; round < 10; round++) {
      await sleep(10);
      collectGarbage();
    }
    expect(told).toEqual([]);
    for (const end of ends) end();
    expect(await Promise.all(reading)).toEqual(['halfthe rest', 'halfthe rest']);
    expect(told).toEqual(['success', 'success']);
  });
});

describe('the answer', () => {
  it('is the object that fetch gave, and looks like it', async () => {
    const server = await serve((response, { url }) => {
      if (url === '/moved') response.writeHead(302, { location: '/' }).end();
      else response.writeHead(200, { 'x-a': '1' }).end(text);
    });
    let native: Response | undefined;
    const { breaker } = journal();
    const guarded = breakerFetch({
      breaker,
      fetch: async (...call) => {
        native = await fetch(...call);
        return native;
      },
    });
    const response = await guarded(`${server.url}moved`);
    expect(response).toBe(native);
    expect(response).toBeInstanceOf(Response);
    expect(Object.keys(response)).toEqual([]);
    expect({ url: response.url, redirected: response.redirected, type: response.type, a: response.headers.get('x-a') }).toEqual({
      url: server.url,
      redirected: true,
      type: 'basic',
      a: '1',
    });
    expect(response.body).toBe(response.body);
    expect(response.bodyUsed).toBe(false);
    expect(await response.text()).toBe(text);
    expect(response.bodyUsed).toBe(true);
  });

  it('locks as a native one does', async () => {
    const ask = async () => (await goodAnswer()).response;
    const locked = await ask();
    const reader = (locked.body as ReadableStream).getReader();
    await expect(locked.text()).rejects.toThrow(TypeError);
    expect(() => locked.clone()).toThrow(TypeError);
    expect((await reader.read()).done).toBe(false);
    expect(locked.bodyUsed).toBe(true);

    const freed = await ask();
    (freed.body as ReadableStream).getReader().releaseLock();
    expect(await freed.text()).toBe(text);
    expect(freed.body?.locked).toBe(true);

    const seen = await ask();
    const { body } = seen;
    expect(await seen.text()).toBe(text);
    expect(seen.body).toBe(body);
    expect(body?.locked).toBe(true);

    const cloned = await ask();
    const before = cloned.body as ReadableStream;
    const copy = cloned.clone();
    expect(before.locked).toBe(true);
    expect(await Promise.all([new Response(cloned.body).text(), copy.text()])).toEqual([text, text]);
  });

  it('is read no faster than its reader', async () => {
    const chunk = Buffer.alloc(64 * 1_024);
    let written = 0;
    const server = await serve((response) => {
      response.writeHead(200);
      const write = () => {
        written += 1;
        if (written === 600) response.end(chunk);
        else response.write(chunk, write);
      };
      write();
    });
    const { breaker, told } = journal();
    const response = await breakerFetch({ breaker })(server.url);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    for (let before = -1; before !== written; await sleep(100)) before = written;
    expect(written).toBeLessThan(300); // what is left lies in the sockets
    for (;;) if ((await reader.read()).done) break;
    expect(told).toEqual(['success']);
  });

  it('may be of another fetch: a stream of any chunks, whose buffers stay their own', async () => {
    const { breaker, told } = journal();
    const pooled = Buffer.from(text);
    const made = new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(pooled);
          controller.close();
        },
      }),
    );
    const response = await breakerFetch({ breaker, fetch: async () => made })('http://made.invalid/');
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body as ReadableStream<Uint8Array>) chunks.push(chunk);
    expect(chunks).toEqual([pooled]);
    expect(pooled.toString()).toBe(text);
    expect(told).toEqual(['success']);
  });

  it('may pass through two breakers', async () => {
    const server = await serve(json({ a: 1 }));
    const [inner, outer] = [journal(), journal()];
    const guarded = breakerFetch({ breaker: outer.breaker, fetch: breakerFetch({ breaker: inner.breaker }) });
    expect(await (await guarded(server.url)).json()).toEqual({ a: 1 });
    for await (const _ of (await guarded(server.url)).body as ReadableStream) break;
    await (await guarded(server.url)).clone().text();
    expect(inner.told).toEqual(['success', 'success', 'success']);
    expect(outer.told).toEqual(['success', 'success', 'success']);
  });

  it('that is frozen or foreign counts at once', async () => {
    const { breaker, told } = journal();
    const answers = [Object.freeze(new Response(text)), { status: 200, ok: true, body: {}, headers: new Headers() } as unknown as Response];
    for (const answer of answers) expect(await breakerFetch({ breaker, fetch: async () => answer })('http://made.invalid/')).toBe(answer);
    expect(told).toEqual(['success', 'success']);
  });
});

describe('an answer that is no success', () => {
  it('counts when its headers are there, and stays whole', async () => {
    const server = await serve((response, { url }) => {
      const [status, retryAfter] = url?.slice(1).split('-') ?? [];
      response.writeHead(Number(status), retryAfter === undefined ? {} : { 'retry-after': retryAfter }).write('{');
    });
    const { breaker, told, errors } = journal();
    const guarded = breakerFetch({ breaker });
    for (const path of ['500', '429-3', '503-4', '404', '401', '529']) {
      const response = await guarded(server.url + path);
      expect(Object.getOwnPropertyNames(response)).toEqual([]);
      await response.body?.cancel();
    }
    expect(told).toEqual(['failure', 'throttled 3000', 'throttled 4000', 'ignore', 'ignore', 'failure']);
    expect(errors[0]).toMatchObject({ message: 'HTTP status 500', status: 500 });
  });

  it('is what another classifier makes of it; one that throws fails the call, not the caller', async () => {
    const server = await serve(json({ a: 1 }));
    const { breaker, told } = journal();
    await breakerFetch({ breaker, classify: { value: () => 'ignore' } })(server.url);
    for (const answer of [Promise.resolve('success'), undefined]) {
      const broken = { value: () => answer as never };
      expect((await breakerFetch({ breaker, classify: broken })(server.url)).status).toBe(200);
    }
    expect(told).toEqual(['ignore', 'failure', 'failure']);
  });

  it('is something else than one after it, however late', async () => {
    const clock = new ManualClock();
    const { breaker, told } = journal();
    const caller = new AbortController();
    const guarded = breakerFetch({ breaker, clock, abortFailsAfterMs: 1_000, fetch: async () => new Response(text) });
    await guarded('http://made.invalid/', { signal: caller.signal });
    clock.advance(60_000);
    caller.abort();
    expect(told).toEqual(['ignore']);
  });

  it('is no longer listened for when the call is over', async () => {
    const { breaker } = journal();
    const { signal } = new AbortController();
    const guarded = breakerFetch({ breaker, fetch: async () => new Response(text) });
    const response = await guarded('http://made.invalid/', { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await response.text();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('is an error, passed on untouched, where nobody answers', async () => {
    const { breaker, told, errors } = journal();
    const error = await outcomeOf(breakerFetch({ breaker })('http://127.0.0.1:1/'));
    expect(error).toBeInstanceOf(TypeError);
    expect(told).toEqual(['failure']);
    expect(errors).toEqual([error]);
  });
});

describe('an abort before the answer', () => {
  const silent = () => serve(() => {});

  it('counts as nothing, with any reason, at once', async () => {
    const { url } = await silent();
    const { breaker, told } = journal();
    const caller = new AbortController();
    const call = outcomeOf(breakerFetch({ breaker })(url, { signal: caller.signal }));
    caller.abort(new Error('left'));
    expect(told).toEqual(['ignore']);
    expect(await call).toMatchObject({ message: 'left' });
    expect(told).toEqual(['ignore']);
  });

  it('asks for no permit if it came before the call', async () => {
    const breaker = openedBreaker({});
    const call = breakerFetch({ breaker })('http://127.0.0.1:1/', { signal: AbortSignal.abort('left') });
    await expect(call).rejects.toBe('left');
    expect(breaker.metrics().rejected).toBe(0);
  });

  it('is a failure once the caller has been patient', async () => {
    const { url } = await silent();
    const clock = new ManualClock();
    const { breaker, told } = journal();
    const guarded = breakerFetch({ breaker, clock, abortFailsAfterMs: 1_000 });
    for (const waitedMs of [999, 1_000]) {
      const caller = new AbortController();
      const call = outcomeOf(guarded(url, { signal: caller.signal }));
      clock.advance(waitedMs);
      caller.abort();
      await call;
    }
    expect(told).toEqual(['ignore', 'failure']);
  });
});

describe('with a CircuitBreaker', () => {
  const settings: CircuitBreakerOptions = {
    name: 'api',
    slidingWindow: { type: 'consecutive', failures: 1 },
    waitDurationInOpenStateMs: 1_000,
  };

  it('an open circuit refuses without a request', async () => {
    const server = await serve(json({}, 500));
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ ...settings, clock });
    const guarded = breakerFetch({ breaker, clock });
    await guarded(server.url);
    const refusal = await outcomeOf(guarded(server.url));
    expect(isCircuitOpenError(refusal)).toBe(true);
    expect(refusal).toMatchObject({ limit: 'api', retryAfterMs: 1_000 });
    expect(server.requests()).toBe(1);
  });

  it('a streaming probe holds its permit until the end of its stream', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ ...settings, clock });
    let finish = () => {};
    const server = await serve((response) => {
      response.writeHead(200).write('first');
      finish = () => response.end('last');
    });
    const guarded = breakerFetch({ breaker, clock });
    breaker.onFailure(breaker.tryAcquire() as number);
    clock.advance(1_000);
    const probe = await guarded(server.url);
    const reader = (probe.body as ReadableStream).getReader();
    await reader.read();
    expect(breaker.state).toBe('half-open');
    expect(isCircuitOpenError(await outcomeOf(guarded(server.url)))).toBe(true);
    finish();
    while (!(await reader.read()).done);
    expect(breaker.state).toBe('closed');
  });

  it('a probe whose stream breaks off opens the circuit again', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ ...settings, clock });
    const server = await serve((response) => {
      response.writeHead(200).write('first');
      setTimeout(() => response.destroy(), 5);
    });
    breaker.onFailure(breaker.tryAcquire() as number);
    clock.advance(1_000);
    await outcomeOf((await breakerFetch({ breaker, clock })(server.url)).text());
    expect(breaker.state).toBe('open');
  });

  it('a call is as slow as its headers, not as its stream', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({
      slidingWindow: { type: 'count', size: 1 },
      slowCallRateThreshold: 1,
      slowCallDurationThresholdMs: 1_000,
      clock,
    });
    const answer = async (headersMs: number) => {
      clock.advance(headersMs);
      return new Response(text);
    };
    const quick = await breakerFetch({ breaker, clock, fetch: () => answer(999) })('http://made.invalid/');
    clock.advance(60_000);
    await quick.text();
    expect(breaker.state).toBe('closed');
    await (await breakerFetch({ breaker, clock, fetch: () => answer(1_000) })('http://made.invalid/')).text();
    expect(breaker.state).toBe('open');
  });

  const hangs: CircuitBreakerOptions = {
    slidingWindow: { type: 'count', size: 4 },
    minimumNumberOfCalls: 1,
    slowCallRateThreshold: 1,
    slowCallDurationThresholdMs: 1_000,
    slowCallInFlight: true,
  };

  it('headers that do not come open the circuit while they are waited for; a stream that goes on does not', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ ...hangs, clock });
    const server = await serve((response) => void response.writeHead(200).write('first'));
    const guarded = breakerFetch({ breaker, clock });
    const stream = await guarded(server.url);
    clock.advance(60_000);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', slowCallsInFlight: 0 });
    const silent = breakerFetch({ breaker, clock, fetch: () => new Promise(() => {}) });
    void silent('http://made.invalid/');
    clock.advance(2_000);
    expect(breaker.state).toBe('open');
    await stream.body?.cancel();
  });

  it('a caller who gives up what was slow has seen a slow call', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ ...hangs, minimumNumberOfCalls: 2, clock });
    const caller = new AbortController();
    const silent: typeof fetch = (_, init) =>
      new Promise((_resolve, reject) => init?.signal?.addEventListener('abort', () => reject(caller.signal.reason)));
    const call = outcomeOf(breakerFetch({ breaker, clock, fetch: silent })('http://made.invalid/', { signal: caller.signal }));
    clock.advance(1_000);
    caller.abort();
    await call;
    expect(breaker.metrics()).toMatchObject({ state: 'closed', calls: 1, failures: 0, slowCalls: 1 });
  });
});

describe('options', () => {
  it.each([
    [{ abortFailsAfterMs: -1 }, 'abortFailsAfterMs must be a number from 0'],
    [{ retries: 2 }, "breakerFetch: unknown option 'retries'"],
    [{ classify: () => 'failure' }, 'classify must be an object, not function'],
    [{ classify: { values: () => 'failure' } }, "unknown option 'values'"],
  ])('refuse %j', (options, message) => {
    expect(() => breakerFetch({ breaker: new CircuitBreaker(), ...options } as never)).toThrow(message);
  });
});
