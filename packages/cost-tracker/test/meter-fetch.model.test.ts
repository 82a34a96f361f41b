import { fc, test } from '@fast-check/vitest';
import { until } from '@tidegate/test-kit';
import { describe, expect } from 'vitest';
import { EventSplitter } from '../src/fetch/event-splitter.ts';
import { meterFetch } from '../src/fetch.ts';
import { CostTracker } from '../src/index.ts';
import { chatUsageChunk, chatWire, eventText, geminiWire, messagesWire, responsesWire, type Wire } from './llm-server.ts';
import { flatPrices } from './metered-tracker.ts';
import { runs } from './runs.ts';

const wires: readonly (readonly [path: string, body: object, wire: Wire])[] = [
  ['/v1/chat/completions', { model: 'm', max_tokens: 50, messages: [], stream: true }, chatWire],
  ['/v1/responses', { model: 'm', max_output_tokens: 50, input: 'hello', stream: true }, responsesWire],
  ['/v1/messages', { model: 'm', max_tokens: 50, messages: [], stream: true }, messagesWire],
  ['/v1beta/models/m:streamGenerateContent', { generationConfig: { maxOutputTokens: 50 } }, geminiWire],
];

/** Bytes cut at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.slice(start, [...at, bytes.length][index]));
}

function streamOf(chunks: readonly Uint8Array[], kind: 'bytes' | undefined): ReadableStream<Uint8Array> {
  const left = chunks.filter(({ length }) => length > 0);
  const source = {
    pull(controller: ReadableByteStreamController | ReadableStreamDefaultController) {
      const next = left.shift();
      if (next === undefined) {
        controller.close();
        if ('byobRequest' in controller) controller.byobRequest?.respond(0);
      } else controller.enqueue(next as never);
    },
  };
  return kind === undefined ? new ReadableStream(source) : new ReadableStream({ type: kind, ...source });
}

const breaks = fc.constantFrom('\n', '\r\n', '\r');

describe('events, however they are cut', () => {
  const line = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => `data: ${text.replace(/[\r\n]/g, '')}`),
    fc.constantFrom('data', 'data:', 'data:hidden', ': comment', 'event: x', 'id', 'retry: 5'),
  );
  const event = fc.array(fc.tuple(line, breaks), { maxLength: 3 }).chain((lines) => fc.tuple(fc.constant(lines), breaks));

  test.prop([fc.array(event, { maxLength: 8 }), fc.array(line, { maxLength: 2 }), fc.array(fc.nat(), { maxLength: 30 })], runs(400))(
    'those that are kept are passed on byte by byte, and each is seen once, in order',
    (list, rest, places) => {
      const texts = list.map(([lines, last]) => `${lines.map((each) => each.join('')).join('')}${last}`);
      // a CR and the LF of the next event would be one break
      const clean = texts.map((text, at) => (text.endsWith('\r') && texts[at + 1]?.startsWith('\n') ? `${text}\n` : text));
      const tail = rest.join('\n');
      const seen: string[] = [];
      const splitter = new EventSplitter((data) => {
        seen.push(data);
        return data !== 'hidden';
      });
      const bytes = new TextEncoder().encode(clean.join('') + tail);
      const passed = [...cut(bytes, places).flatMap((chunk) => splitter.push(chunk)), ...splitter.flush()];
      const whole: string[] = [];
      const other = new EventSplitter((data) => {
        whole.push(data);
        return data !== 'hidden';
      });
      const atOnce = Buffer.concat([...other.push(bytes), ...other.flush()]);
      expect(Buffer.concat(passed).toString()).toBe(atOnce.toString());
      expect(seen).toEqual(whole);
      expect(whole).toEqual(dataOf(clean.join('') + tail));
    },
  );

  /** The data of events by the words of the specification: line by line over the whole text. */
  function dataOf(text: string): string[] {
    const events: string[][] = [[]];
    let isEmpty = true;
    const lines = text.split(/\r\n|\n|\r/);
    lines.forEach((each, index) => {
      const isLast = index === lines.length - 1;
      if (each === '' && !isLast) {
        events.push([]);
        isEmpty = true;
      } else if (each !== '') {
        isEmpty = false;
        if (each.startsWith('data:')) events.at(-1)?.push(each.slice(5).replace(/^ /, ''));
      }
    });
    if (isEmpty && text !== '' && /[\r\n]$/.test(text)) events.pop();
    else if (text === '' || (isEmpty && lines.at(-1) === '')) events.pop();
    return events.map((data) => data.join('\n'));
  }
});

describe('a stream, however it is cut', () => {
  test.prop(
    [
      fc.constantFrom(...wires),
      breaks,
      fc.array(fc.nat(), { maxLength: 40 }),
      fc.constantFrom('bytes' as const, undefined),
      fc.constantFrom('text', 'reader', 'clone'),
      fc.integer({ min: 0, max: 2 }),
    ],
    runs(200),
  )('gives the same bytes and the same usage', async ([path, body, wire], newline, places, kind, way, missing) => {
    // some leave out the line breaks of the last event
    const sent = (list: Wire['stream']) => {
      const text = eventText(list);
      return text.slice(0, text.length - missing).replaceAll('\n', newline);
    };
    const bytes = new TextEncoder().encode(sent(wire.stream));
    const inner = async () => new Response(streamOf(cut(bytes, places), kind), { headers: { 'content-type': 'text/event-stream' } });
    await using tracker = new CostTracker({ prices: flatPrices });
    const response = await meterFetch({ tracker, fetch: inner })(`http://p.test${path}`, { method: 'POST', body: JSON.stringify(body) });
    expect(await read(response, way)).toBe(sent(wire.stream.filter((event) => event !== chatUsageChunk)));
    const rows = await tracker.rows();
    expect(rows).toMatchObject([
      { amount: 182_000n, costSource: 'priced', usage: { inputTokens: 80, cacheReadTokens: 20, outputTokens: 10 } },
    ]);
    expect(rows).toHaveLength(1);
  });

  async function read(response: Response, way: string): Promise<string> {
    if (way === 'text') return response.text();
    if (way === 'clone') {
      const [ours, theirs] = await Promise.all([response.clone().text(), response.text()]);
      expect(ours).toBe(theirs);
      return ours;
    }
    const pieces: Uint8Array[] = [];
    for await (const piece of response.body as ReadableStream<Uint8Array>) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  }
});

/** One call, what its provider does, and what its caller does. */
const anyCall = fc.record({
  wire: fc.constantFrom(...wires),
  streamed: fc.boolean(),
  provider: fc.constantFrom('answers', 'refuses', 'breaks off', 'is not there', 'resets', 'hangs', 'errs in the stream', 'says no usage'),
  caller: fc.constantFrom('reads', 'leaves', 'aborts before', 'aborts after', 'clones', 'reads in part'),
  key: fc.constantFrom(undefined, undefined, 'k1', 'k2'),
  model: fc.constantFrom('m', 'm', 'm', 'unknown'),
  places: fc.array(fc.nat(), { maxLength: 5 }),
});
type AnyCall = typeof anyCall extends fc.Arbitrary<infer T> ? T : never;

function answerOf({ wire: [, , wire], streamed, provider, places }: AnyCall, signal: AbortSignal | null | undefined): Promise<Response> {
  const aborted = new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  aborted.catch(() => {});
  if (provider === 'hangs') return aborted;
  if (provider === 'resets') return Promise.reject(Object.assign(new TypeError('fetch failed'), { cause: { code: 'ECONNRESET' } }));
  if (provider === 'is not there') return Promise.reject(Object.assign(new TypeError('fetch failed'), { cause: { code: 'ECONNREFUSED' } }));
  if (provider === 'refuses') return Promise.resolve(new Response('{"error":{}}', { status: 429 }));
  const list = provider === 'errs in the stream' ? [...wire.stream.slice(0, 2), { type: 'error', error: { message: 'x' } }] : wire.stream;
  const whole = provider === 'says no usage' ? { ...wire.whole, usage: undefined, usageMetadata: undefined } : wire.whole;
  const chunks = cut(new TextEncoder().encode(streamed ? eventText(list) : JSON.stringify(whole)), places);
  const type = streamed ? 'text/event-stream' : 'application/json';
  if (provider === 'breaks off') chunks.length = Math.ceil(chunks.length / 2);
  const source = streamOf(chunks, undefined).getReader();
  const body = new ReadableStream({
    async pull(controller) {
      const { done, value } = await Promise.race([source.read(), aborted]);
      if (!done) controller.enqueue(value);
      else if (provider === 'breaks off') controller.error(new TypeError('terminated'));
      else controller.close();
    },
  });
  return Promise.resolve(new Response(body, { headers: { 'content-type': type } }));
}

async function use(response: Response, caller: AnyCall['caller'], abort: () => void): Promise<void> {
  if (caller === 'aborts after') abort();
  if (caller === 'leaves') return response.body?.cancel();
  if (caller === 'clones') {
    const copy = response.clone();
    await Promise.allSettled([response.text(), copy.body?.cancel()]);
    return;
  }
  if (caller === 'reads in part') {
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    return;
  }
  await response.text();
}

test.prop(
  [fc.array(anyCall, { maxLength: 12 }), fc.constantFrom('throw' as const, 'response' as const), fc.integer({ min: 1, max: 20 })],
  runs(80),
)(
  'whatever happens to calls, no hold stays behind, each is written down at most once, and no budget is passed',
  async (calls, refuse, room) => {
    const limitUsd = `0.00${String(room).padStart(2, '0')}`;
    const budget = { name: 'b', scope: { tenant: 'acme' }, limitUsd, period: 'month' as const, thresholds: { blocked: 1 } };
    await using tracker = new CostTracker({ prices: flatPrices, budgets: [budget] });
    let admitted = 0;
    await tracker.withScope({ tenant: 'acme' }, () =>
      Promise.all(
        calls.map(async (call) => {
          const [path, body] = call.wire;
          const controller = new AbortController();
          const inner: typeof fetch = (_, init) => {
            admitted += 1;
            if (call.provider === 'hangs') setImmediate(() => controller.abort());
            return answerOf(call, init?.signal);
          };
          const fetched = meterFetch({ tracker, fetch: inner, refuse, minOutputTokens: 16, inputTokens: () => 100 });
          const headers: Record<string, string> = call.key === undefined ? {} : { 'idempotency-key': call.key };
          const request = { method: 'POST', headers, body: JSON.stringify({ ...body, model: call.model }), signal: controller.signal };
          if (call.caller === 'aborts before') controller.abort();
          try {
            await use(await fetched(`http://p.test${path}`, request), call.caller, () => controller.abort());
          } catch {
            // the caller's affair
          }
        }),
      ),
    );
    const { reservedUsd } = await until(
      async () => {
        const status = await tracker.status('b');
        return status.reservedUsd === '0' ? status : undefined;
      },
      { what: 'every hold to end', timeoutMs: 2_000 },
    );
    expect(reservedUsd).toBe('0');
    const rows = await tracker.rows();
    const keys = rows.filter(({ correction }) => correction === 0).map(({ key }) => key.id);
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.length).toBeLessThanOrEqual(admitted);
    const spent = rows.reduce((sum, { amount }) => sum + amount, 0n);
    // calls of the same key are one: it is paid for once, though it is made as often as it is sent
    if (calls.every(({ key }) => key === undefined)) expect(spent).toBeLessThanOrEqual(BigInt(room) * 100_000n);
    expect(spent >= 0n).toBe(true);
  },
);
