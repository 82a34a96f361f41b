import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retryAfterOf } from '../src/classifiers.ts';

const now = Date.UTC(2026, 0, 15, 12);
const longest = 2 ** 31 - 1;

const names = [
  'date',
  'retry-after',
  'retry-after-ms',
  'ratelimit',
  'ratelimit-remaining',
  'ratelimit-reset',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-tokens',
  'anthropic-ratelimit-tokens-remaining',
  'anthropic-ratelimit-tokens-reset',
];

/** Values that are nearly right, and any others. */
const value = fc.oneof(
  fc.string(),
  fc.constantFrom('0', '-0', 'NaN', 'Infinity', '1e9', '0x10', '٣', '2147483.648', '2147483.647'),
  fc.double().map(String),
  fc.bigInt({ min: 0n, max: 10n ** 30n }).map(String),
  fc.stringMatching(/^(\d{1,12}(\.\d{1,3})?(ms|us|h|m|s|d)){1,4}$/),
  fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  fc.stringMatching(/^"[a-z]{1,5}";r=\d;t=\d{1,15}$/),
);

const headers = fc.dictionary(fc.constantFrom(...names), value);

function sound(hint: number | undefined): boolean {
  return hint === undefined || (Number.isInteger(hint) && hint >= 0 && hint <= longest);
}

describe('the hint of a server', () => {
  it('is none or a whole number of ms that a timer keeps, whatever the headers say', () => {
    fc.assert(fc.property(headers, (bag) => sound(retryAfterOf(bag, now))));
  });

  it('is as sound in bodies and errors of any shape, and never throws', () => {
    const anything = fc.anything({
      key: fc.constantFrom('error', 'details', 'retryDelay', 'message', 'headers', 'response', 'retryAfterMs'),
    });
    fc.assert(fc.property(anything, (source) => sound(retryAfterOf(source, now))));
    const delay = fc.record({ error: fc.record({ details: fc.array(fc.record({ retryDelay: value })) }) });
    fc.assert(fc.property(delay, (source) => sound(retryAfterOf(source, now))));
  });

  it('is what the server meant, for every duration that it can write', () => {
    const parts = fc.record({ h: fc.nat(500), m: fc.nat(59), s: fc.nat(59), ms: fc.nat(999) });
    fc.assert(
      fc.property(parts, ({ h, m, s, ms }) => {
        const written = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': `${h}h${m}m${s}s${ms}ms` };
        expect(retryAfterOf(written, now)).toBe(h * 3_600_000 + m * 60_000 + s * 1_000 + ms);
      }),
    );
  });

  it('is the same for a date as for the seconds until then', () => {
    fc.assert(
      fc.property(fc.nat(2_000_000), (seconds) => {
        const date = new Date(now + seconds * 1_000).toUTCString();
        expect(retryAfterOf({ 'retry-after': date }, now)).toBe(seconds * 1_000);
        expect(retryAfterOf({ 'retry-after': String(seconds) }, now)).toBe(seconds * 1_000);
      }),
    );
  });
});
