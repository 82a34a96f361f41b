import { ManualClock } from '@tidegate/test-kit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { limitFetch } from '../src/fetch.ts';
import { per, RateLimiter, tokenBucket } from '../src/index.ts';
import { runs } from './runs.ts';

/** A provider that counts when a request is sent and answers when it likes, so that answers overtake each other. */
interface Provider {
  /** Counts a request and says whether it is let through, and the headers that tell of it. */
  readonly take: (now: number, wall: number) => { readonly allowed: boolean; readonly headers: Record<string, string> };
}

/** Fixed windows, told by the moment at which they end. */
function windows(limit: number, windowMs: number): Provider {
  let used = 0;
  let endsAt = 0;
  const take = (_: number, wall: number) => {
    if (wall >= endsAt) {
      used = 0;
      endsAt = wall + windowMs;
    }
    const allowed = used < limit;
    if (allowed) used += 1;
    return {
      allowed,
      headers: { 'x-ratelimit-limit': `${limit}`, 'x-ratelimit-remaining': `${limit - used}`, 'x-ratelimit-reset': `${endsAt}` },
    };
  };
  return { take };
}

/** A bucket, told as OpenAI or Anthropic tells of it, but to the ms. */
function bucket(limit: number, windowMs: number, as: 'openai' | 'anthropic'): Provider {
  let level = limit;
  let at = Number.NEGATIVE_INFINITY;
  const take = (now: number, wall: number) => {
    level = Math.min(limit, level + ((now - at) * limit) / windowMs);
    at = now;
    const allowed = level >= 1;
    if (allowed) level -= 1;
    const fullIn = Math.ceil(((limit - level) * windowMs) / limit);
    const name = (part: string) => (as === 'openai' ? `x-ratelimit-${part}-requests` : `anthropic-ratelimit-requests-${part}`);
    const reset = as === 'openai' ? `${fullIn}ms` : new Date(wall + fullIn).toISOString();
    return { allowed, headers: { [name('limit')]: `${limit}`, [name('remaining')]: `${Math.floor(level)}`, [name('reset')]: reset } };
  };
  return { take };
}

/** Sends at these times, with answers after these delays; the first alone, so that something is known. */
async function follow(provider: Provider, calls: readonly { readonly afterMs: number; readonly answerMs: number }[]) {
  const clock = new ManualClock();
  const seen = { sent: 0, refused: 0, answered: 0 };
  const send = (() => {
    const { allowed, headers } = provider.take(clock.now(), clock.wall());
    const { answerMs } = calls[seen.sent] ?? { answerMs: 1 };
    seen.sent += 1;
    if (!allowed) seen.refused += 1;
    const answer = new Response('', { status: allowed ? 200 : 429, headers });
    return new Promise<Response>((resolve) => clock.setTimeout(() => resolve(answer), answerMs));
  }) as typeof fetch;
  const call = limitFetch({
    limiter: new RateLimiter({ limits: [tokenBucket({ rate: per(1_000_000, 'second') })], clock }),
    fetch: send,
    clock,
  });
  const begin = () => void call('http://api.invalid/').then(() => (seen.answered += 1));
  begin();
  await clock.advanceAsync(1_000);
  for (const { afterMs } of calls.slice(1)) {
    if (afterMs > 0) await clock.advanceAsync(afterMs);
    begin();
  }
  const startedAt = clock.now();
  while (seen.answered < calls.length && clock.now() - startedAt < 3_600_000) await clock.advanceAsync(1_000);
  return { ...seen, tookMs: clock.now() - startedAt };
}

const calls = fc.array(fc.record({ afterMs: fc.constantFrom(0, 0, 0, 1, 40, 700), answerMs: fc.integer({ min: 1, max: 900 }) }), {
  minLength: 1,
  maxLength: 40,
});
const limit = fc.integer({ min: 1, max: 12 });

test('fixed windows: none is refused, each is sent, and none waits for longer than the windows that all of them fill', async () => {
  await fc.assert(
    fc.asyncProperty(limit, fc.integer({ min: 1_000, max: 9_000 }), calls, async (limit, windowMs, calls) => {
      const { sent, refused, answered, tookMs } = await follow(windows(limit, windowMs), calls);
      expect({ sent, refused, answered }).toEqual({ sent: calls.length, refused: 0, answered: calls.length });
      expect(tookMs).toBeLessThanOrEqual((Math.ceil(calls.length / limit) + 1) * (windowMs + 900) + 1_000);
    }),
    runs(100),
  );
});

test.each(['openai', 'anthropic'] as const)(
  'a bucket told as by %s: none is refused, and each is sent at half the rate at which it fills or faster',
  async (as) => {
    await fc.assert(
      fc.asyncProperty(limit, fc.integer({ min: 5_000, max: 60_000 }), calls, async (limit, windowMs, calls) => {
        const { sent, refused, answered, tookMs } = await follow(bucket(limit, windowMs, as), calls);
        expect({ sent, refused, answered }).toEqual({ sent: calls.length, refused: 0, answered: calls.length });
        expect(tookMs).toBeLessThanOrEqual((2 * calls.length * windowMs) / limit + 4_000);
      }),
      runs(100),
    );
  },
);
