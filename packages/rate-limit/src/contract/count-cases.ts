import assert from 'node:assert/strict';
import { per } from '../rate.ts';
import { concurrency } from '../rules/concurrency.ts';
import { slidingWindow } from '../rules/sliding-window.ts';
import { tokenBucket } from '../rules/token-bucket.ts';
import type { Change, Reply } from '../store.ts';
import { Contractor } from './opened-store.ts';
import type { Case } from './time-cases.ts';

/** Nothing comes back of it while a case runs. */
const slow = (burst: number, name = 'slow') => tokenBucket({ name, rate: per(1, 'day'), burst });
const done = (replies: readonly Reply[]) => replies.filter((reply) => reply.done).length;

/** What a store promises about amounts. */
export const countCases: readonly Case[] = [
  [
    'takes from all limits or from none',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const [wide, tight] = [slow(10, 'wide'), slidingWindow({ name: 'tight', limit: 2, windowMs: 86_400_000 })];
      for (const order of [
        [wide, tight],
        [tight, wide],
      ]) {
        const reply = await contractor.take(order.map((limit) => [limit, 3, 'key'] as const));
        assert.equal(reply.done, false);
        assert.deepEqual([await contractor.left(wide), await contractor.left(tight)], [10, 2], 'a refused command charged a limit');
      }
      assert.equal(
        (
          await contractor.take([
            [wide, 2],
            [tight, 2, 'other'],
          ])
        ).done,
        true,
      );
      assert.deepEqual([await contractor.left(wide), await contractor.left(tight, 'other'), await contractor.left(tight)], [8, 0, 2]);
    },
  ],
  [
    'charges nothing for a refusal, nor for a question',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const bucket = slow(5);
      for (let i = 0; i < 20; i += 1) {
        assert.equal((await contractor.take([[bucket, 6]])).limits[0]?.waitUs, Number.POSITIVE_INFINITY);
        assert.equal((await contractor.take([[bucket, 5]], { charge: false })).done, true);
      }
      assert.equal((await contractor.take([[bucket, 5]])).done, true);
      for (let i = 0; i < 20; i += 1) assert.equal((await contractor.take([[bucket, 1]])).done, false);
    },
  ],
  [
    'does the commands of a key in the order given',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const replies = await Promise.all(Array.from({ length: 30 }, () => contractor.take([[slow(12), 1]])));
      assert.deepEqual(
        replies.map((reply) => reply.done),
        replies.map((_, i) => i < 12),
      );
      assert.deepEqual(
        replies.slice(0, 12).map(({ limits }) => limits[0]?.left),
        Array.from({ length: 12 }, (_, i) => 11 - i),
      );
    },
  ],
  [
    'admits exactly the burst of many takes at once, through two handles',
    async ({ store }, another) => {
      const one = new Contractor(store);
      const two = one.through((await another()).store);
      const replies = await Promise.all(Array.from({ length: 200 }, (_, i) => (i % 2 ? one : two).take([[slow(50), 1]])));
      assert.equal(done(replies), 50);
    },
  ],
  [
    'loses no write that it acknowledged, one after the other through two handles',
    async ({ store }, another) => {
      const one = new Contractor(store);
      const two = one.through((await another()).store);
      for (let taken = 1; taken <= 40; taken += 1) {
        const reply = await (taken % 2 ? one : two).take([
          [slow(40), 1],
          [slow(60, 'other'), 1],
        ]);
        assert.deepEqual([reply.done, reply.limits[0]?.left, reply.limits[1]?.left], [true, 40 - taken, 60 - taken]);
      }
      assert.equal((await one.take([[slow(40), 1]])).done, false);
    },
  ],
  [
    'keeps keys of any text apart',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const keys = [
        '',
        ' ',
        '{a}',
        'a',
        'A',
        'a|b',
        'a:b',
        '*',
        '%',
        '_',
        '\\',
        "'",
        '"',
        '$1',
        "a'); --",
        '__proto__',
        'constructor',
        'k'.repeat(200),
      ];
      assert.equal(done(await Promise.all(keys.map((key) => contractor.take([[slow(1), 1, key]])))), keys.length);
      assert.equal(done(await Promise.all(keys.map((key) => contractor.take([[slow(1), 1, key]])))), 0);
    },
  ],
  [
    'charges over-use up to the debt, and gives nothing back for it',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const bucket = tokenBucket({ name: 'bucket', rate: per(1, 'day'), burst: 10, debt: 5 });
      const { now } = await contractor.take([[bucket, 4]], { reservation: 'one' });
      await contractor.settle([bucket, 4], 1_000, 'one', now);
      const refused = await contractor.take([[bucket, 1]]);
      assert.equal(refused.done, false);
      assert.ok((refused.limits[0]?.waitUs ?? 0) > 5 * 86_400_000_000, 'the debt was not charged');
      assert.ok((refused.limits[0]?.waitUs ?? 0) <= 6 * 86_400_000_000, 'more was charged than the debt allows');
    },
  ],
  [
    'gives back no more than was used, and a refund that is sent twice once',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const bucket = slow(10);
      await contractor.take([[bucket, 6]]);
      const refund = (cost: number, id: string) => contractor.run({ do: 'refund', demands: [contractor.demand([bucket, cost])], id });
      const id = `refund ${contractor.demand([bucket, 0]).limit}`;
      await refund(2, id);
      await refund(2, id);
      assert.equal(await contractor.left(bucket), 6);
      await refund(1_000, `${id} more`);
      assert.equal(await contractor.left(bucket), 10);
      assert.equal((await contractor.take([[bucket, 10]])).done, true);
      assert.equal((await contractor.take([[bucket, 1]])).done, false);
    },
  ],
  [
    'forgets on reset what one key has used, and only that',
    async ({ store }) => {
      const contractor = new Contractor(store);
      for (const key of ['a', 'b']) await contractor.take([[slow(5), 5, key]]);
      await contractor.run({ do: 'reset', demands: [contractor.demand([slow(5), 0, 'a'])] });
      assert.deepEqual([await contractor.left(slow(5), 'a'), await contractor.left(slow(5), 'b')], [5, 0]);
    },
  ],
  [
    'lets no more run at once than the limit, and another for each that ends',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const ask = [concurrency({ name: 'at once', limit: 5, leaseMs: 60_000 }), 1] as const;
      const replies = await Promise.all(Array.from({ length: 30 }, (_, i) => contractor.take([ask], { reservation: `call ${i}` })));
      assert.equal(done(replies), 5);
      const ended = replies.findIndex((reply) => reply.done);
      for (let twice = 0; twice < 2; twice += 1) await contractor.settle(ask, 0, `call ${ended}`, (replies[ended] as Reply).now);
      const more = await Promise.all(Array.from({ length: 5 }, (_, i) => contractor.take([ask], { reservation: `more ${i}` })));
      assert.equal(done(more), 1);
    },
  ],
  [
    'grants in advance no more than there is, and takes back what was not used',
    async ({ store }, another) => {
      const one = new Contractor(store);
      const two = one.through((await another()).store);
      const bucket = slow(40);
      const nothing = { used: 0, reserved: 0, takenAt: 0 };
      const leases = await Promise.all(
        Array.from({ length: 20 }, (_, i) => (i % 2 ? one : two).lease([bucket, 100], nothing, `lease ${i}`)),
      );
      const granted = leases.reduce((sum, reply) => sum + reply.granted, 0);
      assert.ok(granted > 0 && granted <= 40, `granted ${granted} of 40`);
      assert.equal(await one.left(bucket), 40 - granted);
      const { granted: reserved, now: takenAt } = leases.find((reply) => reply.done) as Reply;
      await one.lease([bucket, 0], { used: 1, reserved, takenAt }, 'return');
      assert.equal(await one.left(bucket), 40 - granted + reserved - 1);
    },
  ],
  [
    'carries what was used to changed limits as told, once a version',
    async ({ store }) => {
      const contractor = new Contractor(store);
      const taken = async (burst: number, change: Change) => (await contractor.take([[slow(burst), 1]], {}, change)).limits[0]?.left;
      await contractor.take([[slow(10), 5]]);
      assert.equal(await taken(20, { version: 1, carry: 'used' }), 14);
      assert.equal(await taken(40, { version: 2, carry: 'proportional' }), 27);
      assert.equal(await taken(40, { version: 3, carry: 'reset' }), 39);
      assert.equal(await taken(40, { version: 3, carry: 'reset' }), 38, 'a reset happened twice');
      assert.equal(await taken(20, { version: 2, carry: 'reset' }), 17, 'an old version reset what a newer one counts');
    },
  ],
];
