import type { Clock } from './clock.ts';

/**
 * How long a server asks to be left alone, in ms, by what it was answered with: 0 where it asks for nothing, Infinity where
 * it says that another attempt is of no use.
 *
 * Read are `retryAfterMs` of the error and the headers `x-should-retry`, `retry-after-ms` and `Retry-After` (RFC 9110,
 * 10.2.3) in its `headers` or `response.headers`. What is no number of ms is passed over.
 */
export function retryHintMs(result: unknown, clock: Pick<Clock, 'wall'>): number {
  if (typeof result !== 'object' || result === null) return 0;
  const { retryAfterMs, headers, response } = result as Carrier;
  if (isWait(retryAfterMs)) return retryAfterMs;
  const header = headerReader(headers ?? response?.headers);
  if (header('x-should-retry') === 'false') return Number.POSITIVE_INFINITY;
  const ms = header('retry-after-ms');
  return ms !== undefined && decimal.test(ms) ? Number(ms) : retryAfter(header('retry-after'), clock);
}

interface Carrier {
  readonly retryAfterMs?: unknown;
  readonly headers?: unknown;
  readonly response?: { readonly headers?: unknown } | null;
}

const decimal = /^\d+(\.\d+)?$/;
const httpDate = /^[A-Z][a-z]{2,8}, /; // what else Date.parse takes for a date, '-5' among it, is none

function isWait(ms: unknown): ms is number {
  return typeof ms === 'number' && ms > 0;
}

function retryAfter(value: string | undefined, clock: Pick<Clock, 'wall'>): number {
  if (value === undefined) return 0;
  if (decimal.test(value)) return Number(value) * 1_000;
  const until = httpDate.test(value) ? Date.parse(value) : Number.NaN;
  return until > clock.wall() ? until - clock.wall() : 0;
}

function headerReader(headers: unknown): (name: string) => string | undefined {
  if (typeof headers !== 'object' || headers === null) return () => undefined;
  if (headers instanceof Headers) return (name) => headers.get(name)?.trim();
  const entries = Object.entries(headers);
  return (name) => {
    const value: unknown = entries.find(([key]) => key.toLowerCase() === name)?.[1];
    const first: unknown = Array.isArray(value) ? value[0] : value;
    return first === undefined ? undefined : String(first).trim();
  };
}
