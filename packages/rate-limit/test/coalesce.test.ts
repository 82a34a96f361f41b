import { expect, test } from 'vitest';
import { Coalescer, type Sent } from '../src/coalesce.ts';
import { type Reply, type Take, tokenBucket } from '../src/index.ts';

const { rule } = tokenBucket();
const change = { version: 0, carry: 'used' } as const;
const take = (key: string): Take => ({ do: 'take', demands: [{ limit: 'l', key, rule, cost: 1 }], charge: true, levels: false });
const reply = (granted: number): Reply => ({ done: true, granted, now: 0, limits: [] });
const keys = (batch: readonly Sent[]) => batch.map(({ command }) => command.demands[0]?.key);

/** Batches that end when they are told to. */
function held(most: number) {
  const sent: { keys: unknown[]; end: (replies: (Reply | Error)[]) => void; fail: (error: Error) => void }[] = [];
  const coalescer = new Coalescer((batch) => new Promise((end, fail) => sent.push({ keys: keys(batch), end, fail })), { most });
  return { sent, run: (key: string) => coalescer.run(take(key), change), coalescer };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('commands of one turn share a round trip, and those that come meanwhile share the next', async () => {
  const { sent, run } = held(10);
  const first = [run('a'), run('b'), Promise.resolve().then(() => run('c'))];
  await turn();
  const later = [run('a'), run('d')];
  await turn();
  expect(sent.map((batch) => batch.keys)).toEqual([['a', 'b', 'c']]);
  sent[0]?.end([reply(1), reply(2), reply(3)]);
  expect((await Promise.all(first)).map(({ granted }) => granted)).toEqual([1, 2, 3]);
  await turn();
  expect(sent[1]?.keys).toEqual(['a', 'd']);
  sent[1]?.end([reply(4), reply(5)]);
  expect((await Promise.all(later)).map(({ granted }) => granted)).toEqual([4, 5]);
});

test('no round trip carries more than the most', async () => {
  const sizes: number[] = [];
  const coalescer = new Coalescer(
    async (batch) => {
      sizes.push(batch.length);
      return batch.map(() => reply(0));
    },
    { most: 4 },
  );
  await Promise.all(Array.from({ length: 10 }, (_, i) => coalescer.run(take(`${i}`), change)));
  expect(sizes).toEqual([4, 4, 2]);
});

test('a round trip that fails fails its own commands, an error among the replies one', async () => {
  const { sent, run } = held(2);
  const runs = Promise.allSettled([run('a'), run('b'), run('c'), run('d'), run('e')]);
  await turn();
  sent[0]?.fail(new Error('gone'));
  await turn();
  await turn();
  sent[1]?.end([reply(7), new Error('broken')]);
  await turn();
  await turn();
  sent[2]?.end([]);
  const outcomes = (await runs).map((each) => (each.status === 'fulfilled' ? each.value.granted : String(each.reason)));
  expect(outcomes).toEqual(['Error: gone', 'Error: gone', 7, 'Error: broken', 'Error: the store answered 0 of 1 commands']);
});

test('closing fails what waits and not what is under way', async () => {
  const { sent, run, coalescer } = held(1);
  const runs = Promise.allSettled([run('a'), run('b')]);
  await turn();
  coalescer.close(new Error('closed'));
  sent[0]?.end([reply(1)]);
  expect((await runs).map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
});
