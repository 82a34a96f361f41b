import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { per, RateLimiter, type RateLimiterOptions, tokenBucket } from '../src/index.ts';
import { Memory } from '../src/memory.ts';

const byKey = (options: RateLimiterOptions<string>) => new RateLimiter<string>({ key: (subject) => subject, ...options });

describe('a key', () => {
  test('has buckets of its own', () => {
    const limiter = byKey({ clock: new ManualClock(), limits: [tokenBucket({ burst: 1 })] });
    expect(['a', 'b', 'a'].map((key) => limiter.consumeSync(key).allowed)).toEqual([true, true, false]);
    expect(limiter.size).toBe(2);
  });

  test('is the same for all where no key is given', () => {
    const limiter = new RateLimiter<string>({ clock: new ManualClock(), limits: [tokenBucket({ burst: 1 })] });
    expect(limiter.consumeSync('a').allowed).toBe(true);
    expect(limiter.consumeSync('b').allowed).toBe(false);
  });

  test('may be empty, 10 kB long, or the name of an inherited property', () => {
    const keys = ['', 'k'.repeat(10_000), `${'k'.repeat(9_999)}l`, '__proto__', 'constructor', 'ключ', '\u0000'];
    for (const maxKeys of [100, 1]) {
      const limiter = byKey({ clock: new ManualClock(), limits: [tokenBucket({ burst: 3 })], maxKeys });
      expect(keys.map((key) => limiter.consumeSync(key).allowed)).toEqual(keys.map(() => true));
    }
  });

  test('is not remembered by a peek', async () => {
    const limiter = byKey({ clock: new ManualClock() });
    expect(await limiter.peek('a', { cost: 10 })).toMatchObject({ allowed: true, remaining: 10 });
    expect(await limiter.peek('a', { cost: 11 })).toMatchObject({ allowed: false, permanent: true, remaining: 10 });
    expect(limiter.size).toBe(0);
  });
});

describe('bounds', () => {
  test('keys whose buckets are full again are forgotten as new ones come', () => {
    const clock = new ManualClock();
    const limiter = byKey({ clock });
    for (let i = 0; i < 1_000; i += 1) limiter.consumeSync(`old ${i}`);
    expect(limiter.size).toBe(1_000);
    clock.advance(200); // one token comes back
    for (let i = 0; i < 1_001; i += 1) limiter.consumeSync(`new ${i}`);
    expect(limiter.size).toBeLessThan(1_100);
  });

  test('a key still in use is not forgotten', async () => {
    const clock = new ManualClock();
    const limiter = byKey({ clock, limits: [tokenBucket({ rate: per(1, 'day') })] });
    limiter.consumeSync('blocked');
    for (let i = 0; i < 2_000; i += 1) {
      clock.advance(40_000); // so that the others come and go; all in all 22 hours
      await limiter.reset(`other ${i}`);
    }
    expect(limiter.consumeSync('blocked')).toMatchObject({ allowed: false, retryAfterMs: 86_400_000 - 80_000_000 });
    expect(limiter.size).toBeLessThan(10);
  });

  test('a key is in use as long as any of its limits is', () => {
    const clock = new ManualClock();
    const limits = [tokenBucket({ name: 'fast', rate: per(100, 'second') }), tokenBucket({ name: 'slow', rate: per(1, 'day') })];
    for (const order of [limits, [...limits].reverse()]) {
      const limiter = byKey({ clock, limits: order });
      limiter.consumeSync('a');
      clock.advance(60_000);
      for (let i = 0; i < 50; i += 1) limiter.consumeSync(`other ${i}`);
      expect(limiter.consumeSync('a')).toMatchObject({ allowed: false, limit: 'slow' });
    }
  });

  test('there are never more than maxKeys keys', () => {
    const clock = new ManualClock();
    const limiter = byKey({ clock, maxKeys: 100 });
    for (let i = 0; i < 5_000; i += 1) {
      limiter.consumeSync(`key ${i}`);
      if (i % 7 === 0) clock.advance(10);
      expect(limiter.size).toBeLessThanOrEqual(100);
    }
  });

  test('a place that was freed is taken again with nothing of its last key left in it', () => {
    const clock = new ManualClock();
    const limiter = byKey({ clock, maxKeys: 10, limits: [tokenBucket({ burst: 2 })] });
    for (let i = 0; i < 500; i += 1) {
      expect(limiter.consumeSync(`key ${i}`, { cost: 2 })).toMatchObject({ allowed: true, remaining: 0 });
      clock.advance(400);
    }
  });

  test('keys that come and go take no more space than those there at once', () => {
    const memory = new Memory(2, 1_000_000, () => true);
    const space = memory.numbers.length;
    for (let i = 0; i < 20_000; i += 1) memory.place(`key ${i}`);
    expect(memory.size).toBeLessThan(5);
    expect(memory.numbers.length).toBe(space);
  });

  test('no timer is left running, nor anything else that would keep the process alive', () => {
    const before = process.getActiveResourcesInfo();
    const limiter = byKey({});
    for (let i = 0; i < 10_000; i += 1) limiter.consumeSync(`key ${i}`);
    expect(process.getActiveResourcesInfo()).toEqual(before);
  });

  test('a key takes at most 60 bytes beside its own text', () => {
    const script = fileURLToPath(new URL('bytes-per-key.ts', import.meta.url));
    const args = ['--expose-gc', '--import', 'tsx', '--conditions=@tidegate/source', script, '200000'];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    const bytes = Number(stdout);
    expect(bytes).toBeGreaterThan(8); // else nothing was measured
    expect(bytes).toBeLessThanOrEqual(60);
  });
});

describe('reset', () => {
  test('fills the buckets of one key', async () => {
    const limiter = byKey({
      clock: new ManualClock(),
      limits: [tokenBucket({ burst: 2 }), tokenBucket({ name: 'hour', rate: per(9, 'hour') })],
    });
    for (const key of ['a', 'b']) limiter.consumeSync(key, { cost: 2 });
    await limiter.reset('a');
    expect(limiter.consumeSync('a', { cost: 2 }).allowed).toBe(true);
    expect(limiter.consumeSync('a').allowed).toBe(false);
    expect(limiter.consumeSync('b').allowed).toBe(false);
  });

  test('of a key never seen is nothing special', async () => {
    const limiter = byKey({ clock: new ManualClock() });
    await limiter.reset('a');
    expect(limiter.consumeSync('a', { cost: 10 }).allowed).toBe(true);
  });

  test('fills nothing of the others with whom a key shares a place', async () => {
    const limiter = byKey({ clock: new ManualClock(), maxKeys: 1, limits: [tokenBucket({ burst: 2 })] });
    limiter.consumeSync('first', { cost: 2 });
    limiter.consumeSync('victim', { cost: 2 });
    for (let i = 0; i < 500; i += 1) await limiter.reset(`key ${i}`);
    expect(limiter.consumeSync('victim').allowed).toBe(false);
  });

  test('also helps a key that once shared a place and now has its own', async () => {
    const clock = new ManualClock();
    const limiter = byKey({ clock, maxKeys: 1, limits: [tokenBucket({ burst: 2 })] });
    limiter.consumeSync('first');
    limiter.consumeSync('late', { cost: 2 });
    clock.advance(200); // now 'first' is no longer in use
    expect(limiter.consumeSync('late', { cost: 2 }).allowed).toBe(false);
    await limiter.reset('late');
    expect(limiter.consumeSync('late', { cost: 2 }).allowed).toBe(true);
  });
});
