import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { RateLimiter as TheirRateLimiter, TokenBucket } from 'limiter';
import { RateLimiterMemory, RateLimiterUnion } from 'rate-limiter-flexible';
import { bareLimiter } from './bare-limiter.ts';
import { type Contender, interleave } from './interleave.ts';
import { publish } from './publish.ts';

// Each loop is written out: a loop shared by all contenders would be compiled for all of them at once, and be fair to none.

const key = ['acme', 'search'].join(':');
const plenty = 1_000_000_000;
const byKey = (subject: string) => subject;

const bare = bareLimiter(plenty, plenty / 1_000);
const limiter = new RateLimiter<string>({ key: byKey, limits: [tokenBucket({ rate: per(plenty, 'second') })] });
const flexible = new RateLimiterMemory({ points: plenty, duration: 3_600 });
const bucket = new TokenBucket({ bucketSize: plenty, tokensPerInterval: plenty, interval: 'second' });
bucket.content = plenty; // it begins empty
const buckets = new Map([[key, bucket]]);
const theirs = new Map([[key, new TheirRateLimiter({ tokensPerInterval: plenty, interval: 'second' })]]);

const bareEmpty = bareLimiter(1, 1 / 86_400_000);
const emptyLimiter = new RateLimiter<string>({ key: byKey, limits: [tokenBucket({ rate: per(1, 'day') })] });
const emptyFlexible = new RateLimiterMemory({ points: 1, duration: 86_400 });
const emptyBuckets = new Map([[key, new TokenBucket({ bucketSize: 1, tokensPerInterval: 1, interval: 'day' })]]); // begins empty
const emptyTheirs = new Map([[key, new TheirRateLimiter({ tokensPerInterval: 1, interval: 'day' })]]);
bareEmpty(key);
emptyLimiter.consumeSync(key);
await emptyFlexible.consume(key);
emptyTheirs.get(key)?.tryRemoveTokens(1);

const allowed: Contender[] = [
  {
    name: 'Map and GCRA, one clock read',
    kind: 'limit',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (bare(key)) right += 1;
      return right;
    },
  },
  {
    name: 'tidegate, consumeSync',
    kind: 'ours',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (limiter.consumeSync(key).allowed) right += 1;
      return right;
    },
  },
  {
    name: 'tidegate, consumeSync, refused',
    kind: 'ours',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (!emptyLimiter.consumeSync(key).allowed) right += 1;
      return right;
    },
  },
  {
    name: 'tidegate, await consume',
    kind: 'ours',
    run: async (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if ((await limiter.consume(key)).allowed) right += 1;
      return right;
    },
  },
  {
    name: 'limiter TokenBucket in a Map',
    kind: 'rival',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (buckets.get(key)?.tryRemoveTokens(1)) right += 1;
      return right;
    },
  },
  {
    name: 'limiter RateLimiter in a Map',
    kind: 'rival',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (theirs.get(key)?.tryRemoveTokens(1)) right += 1;
      return right;
    },
  },
  {
    name: 'limiter RateLimiter in a Map, awaited',
    kind: 'rival',
    run: async (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (((await theirs.get(key)?.removeTokens(1)) ?? -1) >= 0) right += 1;
      return right;
    },
  },
  {
    name: 'rate-limiter-flexible, awaited',
    kind: 'rival',
    run: async (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if ((await flexible.consume(key)).remainingPoints >= 0) right += 1;
      return right;
    },
  },
];

const denied: Contender[] = [
  {
    name: 'Map and GCRA, one clock read',
    kind: 'limit',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (!bareEmpty(key)) right += 1;
      return right;
    },
  },
  {
    name: 'tidegate, consumeSync',
    kind: 'ours',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (!emptyLimiter.consumeSync(key).allowed) right += 1;
      return right;
    },
  },
  {
    name: 'tidegate, await consume',
    kind: 'ours',
    run: async (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (!(await emptyLimiter.consume(key)).allowed) right += 1;
      return right;
    },
  },
  {
    name: 'limiter TokenBucket in a Map',
    kind: 'rival',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (emptyBuckets.get(key)?.tryRemoveTokens(1) === false) right += 1;
      return right;
    },
  },
  {
    name: 'limiter RateLimiter in a Map',
    kind: 'rival',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (emptyTheirs.get(key)?.tryRemoveTokens(1) === false) right += 1;
      return right;
    },
  },
  {
    name: 'rate-limiter-flexible, awaited',
    kind: 'rival',
    run: async (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await emptyFlexible.consume(key);
        } catch {
          right += 1;
        }
      }
      return right;
    },
  },
];

const periods = ['second', 'minute', 'hour'] as const;
const threeBare = periods.map(() => bareLimiter(plenty, plenty / 1_000));
const threeLimits = new RateLimiter<string>({
  key: byKey,
  limits: periods.map((period) => tokenBucket({ name: period, rate: per(plenty, period) })),
});
const union = new RateLimiterUnion(...periods.map((keyPrefix) => new RateLimiterMemory({ keyPrefix, points: plenty, duration: 3_600 })));

const three: Contender[] = [
  {
    name: 'three times Map and GCRA',
    kind: 'limit',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (threeBare.every((each) => each(key))) right += 1;
      return right;
    },
  },
  {
    name: 'tidegate, consumeSync',
    kind: 'ours',
    run: (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if (threeLimits.consumeSync(key).allowed) right += 1;
      return right;
    },
  },
  {
    name: 'tidegate, await consume',
    kind: 'ours',
    run: async (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if ((await threeLimits.consume(key)).allowed) right += 1;
      return right;
    },
  },
  {
    name: 'rate-limiter-flexible union, awaited',
    kind: 'rival',
    run: async (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if ((await union.consume(key)) !== undefined) right += 1;
      return right;
    },
  },
];

await publish([
  {
    title: 'A call that one limit allows',
    what: 'One decision on one key, which is looked up. `limiter` keeps no keys, so a `Map` stands before it. The third row refuses, of which the next table has the rivals.',
    unit: 'ns',
    baseline: 'Map and GCRA, one clock read',
    rows: await interleave(allowed),
    targets: [
      { row: 'tidegate, consumeSync', versus: 'Map and GCRA, one clock read', atMost: 1.3 },
      { row: 'tidegate, consumeSync, refused', versus: 'tidegate, consumeSync', atMost: 1 },
    ],
  },
  {
    title: 'A call that one limit refuses',
    what: 'One refusal on one key. rate-limiter-flexible refuses by rejecting, which is caught; ours is a value that says which limit, and when to come back; the others answer `false`.',
    unit: 'ns',
    baseline: 'Map and GCRA, one clock read',
    rows: await interleave(denied),
  },
  {
    title: 'A call that three limits allow at once',
    what: 'One decision on one key by three limits. The first row looks up the key and reads the clock three times. Ours charges all or none; the union of rate-limiter-flexible charges those that allowed even where another refuses.',
    unit: 'ns',
    baseline: 'three times Map and GCRA',
    rows: await interleave(three),
    targets: [{ row: 'tidegate, await consume', versus: 'rate-limiter-flexible union, awaited', atMost: 0.5 }],
  },
]);
