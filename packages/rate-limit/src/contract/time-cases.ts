import assert from 'node:assert/strict';
import type { Limit } from '../limit.ts';
import { per } from '../rate.ts';
import { concurrency } from '../rules/concurrency.ts';
import { slidingWindow } from '../rules/sliding-window.ts';
import { tokenBucket } from '../rules/token-bucket.ts';
import { Contractor, type OpenedStore } from './opened-store.ts';

/** A promise of a store about time, and what must hold. */
export type Case = readonly [name: string, run: (opened: OpenedStore, another: () => Promise<OpenedStore>) => Promise<void>];

/** Takes what is left, then asks until it fits: every answer before the promised instant has to be a refusal that promises the same. */
async function expectExactWait(opened: OpenedStore, limit: Limit, all: number): Promise<void> {
  const contractor = new Contractor(opened.store);
  assert.equal((await contractor.take([[limit, all]])).done, true);
  const refused = await contractor.take([[limit, 1]]);
  assert.equal(refused.done, false, 'more was let through than the limit');
  const promised = refused.now + (refused.limits[0]?.waitUs ?? 0);
  assert.ok(promised > refused.now, 'a refusal has to say when to come back');
  await opened.advance((promised - refused.now) / 1_000 - 1);
  let reply = await contractor.take([[limit, 1]], { charge: false });
  for (let looked = 0; reply.now < promised && looked < 100; looked += 1) {
    assert.equal(reply.done, false, `admitted ${promised - reply.now} µs before the promised instant`);
    assert.equal(reply.limits[0]?.waitUs, promised - reply.now, 'the promise changed though nothing else came');
    await opened.advance(Math.max(0.001, (promised - reply.now) / 1_000));
    reply = await contractor.take([[limit, 1]], { charge: false });
  }
  assert.ok(reply.now >= promised, 'advance did not let time pass for the store');
  assert.equal(reply.done, true, 'refused at the promised instant');
}

/** What a store promises about time. */
export const timeCases: readonly Case[] = [
  [
    'refuses a token bucket until the promised instant, and admits at it',
    (opened) => expectExactWait(opened, tokenBucket({ name: 'bucket', rate: per(20, 'second'), burst: 7 }), 7),
  ],
  [
    'refuses a sliding window until the promised instant, and admits at it',
    (opened) => expectExactWait(opened, slidingWindow({ name: 'window', limit: 7, windowMs: 60, precision: 3 }), 7),
  ],
  [
    'goes by its own time, not by that of its callers',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const bucket = tokenBucket({ name: 'bucket', rate: per(2, 'hour'), burst: 1 });
      const first = await contractor.take([[bucket, 1]]);
      const { now } = Date;
      Date.now = () => now.call(Date) + 3_600_000;
      try {
        const second = await contractor.take([[bucket, 1]]);
        assert.ok(Math.abs(second.now - first.now) < 1_800_000_000, `the store's time followed Date.now: ${second.now - first.now} µs`);
        assert.equal(second.done, false, 'a caller whose clock is ahead was let through');
      } finally {
        Date.now = now;
      }
    },
  ],
  [
    'keeps what is reserved as used until it is settled, and then gives back what was not',
    async ({ store, advance }) => {
      const contractor = new Contractor(store);
      const bucket = tokenBucket({ name: 'bucket', rate: per(1_000, 'second'), burst: 10 });
      const ask = [bucket, 10] as const;
      const { now: takenAt, done } = await contractor.take([ask], { reservation: 'one' });
      assert.equal(done, true);
      await advance(30);
      assert.equal(await contractor.left(bucket), 0, 'what is reserved came back by itself');
      const slow = tokenBucket({ name: 'slow', rate: per(1, 'day'), burst: 10 });
      const { now } = await contractor.take([[slow, 8]], { reservation: 'two' });
      await contractor.settle([slow, 8], 3, 'two', now);
      assert.equal(await contractor.left(slow), 7);
      await contractor.settle(ask, 0, 'one', takenAt);
      assert.equal(await contractor.left(bucket), 10);
    },
  ],
  [
    'counts a reservation that nobody settles as used once it has expired',
    async ({ store, advance }) => {
      const contractor = new Contractor(store);
      const bucket = tokenBucket({ name: 'bucket', rate: per(1_000, 'second'), burst: 10, reservationMs: 50 });
      const day = tokenBucket({ name: 'day', rate: per(1, 'day'), burst: 10, reservationMs: 50 });
      const { now } = await contractor.take(
        [
          [bucket, 10],
          [day, 10],
        ],
        { reservation: 'one' },
      );
      await advance(115);
      assert.equal(await contractor.left(bucket), 10, 'what expired did not come back at the rate');
      await contractor.settle([day, 10], 0, 'one', now);
      assert.equal(await contractor.left(day), 0, 'what expired was given back');
    },
  ],
  [
    'ends a lease that is not renewed, keeps one that is, and says which',
    async ({ store, advance }) => {
      const contractor = new Contractor(store);
      const ask = [concurrency({ name: 'at once', limit: 2, leaseMs: 400 }), 1] as const;
      for (const id of ['kept', 'dropped']) assert.equal((await contractor.take([ask], { reservation: id })).done, true);
      assert.equal((await contractor.take([ask], { reservation: 'third' })).done, false);
      await advance(250);
      const renewed = await contractor.renew(ask, 'kept');
      assert.equal(renewed.done, true);
      await advance(200);
      const third = await contractor.take([ask], { reservation: 'third' });
      assert.equal(third.done, true, 'an abandoned lease did not end');
      const fourth = await contractor.take([ask], { reservation: 'fourth' });
      if (fourth.now < renewed.now + 400_000) assert.equal(fourth.done, false, 'a renewed lease ended');
      assert.equal((await contractor.renew(ask, 'dropped')).done, false, 'a lease that had ended was renewed');
      assert.equal((await contractor.renew(ask, 'never begun')).done, false);
    },
  ],
];
