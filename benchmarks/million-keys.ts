import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { RateLimiter as TheirRateLimiter, TokenBucket } from 'limiter';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { bareLimiter } from './bare-limiter.ts';
import { type Kind, type Row, rotated } from './interleave.ts';
import { publish } from './publish.ts';

/** Lets a call of this key through, or not. */
type Decide = (key: string) => boolean | Promise<boolean>;

const keyCount = 1_000_000;
const rounds = 3; // in each of the processes of a question
const hour = 3_600;

// everybody's policy: 10 an hour, so that none of the keys may be forgotten while it is measured
const contenders: Readonly<Record<string, { readonly kind: Kind; readonly make: () => Decide }>> = {
  'Map and GCRA, one clock read': { kind: 'limit', make: () => bareLimiter(10, 10 / (hour * 1_000)) },
  'tidegate, consumeSync': {
    kind: 'ours',
    make: () => {
      const limiter = new RateLimiter<string>({ key: (subject) => subject, limits: [tokenBucket({ rate: per(10, 'hour') })] });
      return (key) => limiter.consumeSync(key).allowed;
    },
  },
  'tidegate, await consume': {
    kind: 'ours',
    make: () => {
      const limiter = new RateLimiter<string>({ key: (subject) => subject, limits: [tokenBucket({ rate: per(10, 'hour') })] });
      return async (key) => (await limiter.consume(key)).allowed;
    },
  },
  'limiter TokenBucket in a Map': {
    kind: 'rival',
    make: () => {
      const buckets = new Map<string, TokenBucket>();
      return (key) => {
        let bucket = buckets.get(key);
        if (bucket === undefined) {
          bucket = new TokenBucket({ bucketSize: 10, tokensPerInterval: 10, interval: 'hour' });
          bucket.content = 10; // it begins empty
          buckets.set(key, bucket);
        }
        return bucket.tryRemoveTokens(1);
      };
    },
  },
  'limiter RateLimiter in a Map': {
    kind: 'rival',
    make: () => {
      const limiters = new Map<string, TheirRateLimiter>();
      return (key) => {
        let limiter = limiters.get(key);
        if (limiter === undefined) {
          limiter = new TheirRateLimiter({ tokensPerInterval: 10, interval: 'hour' });
          limiters.set(key, limiter);
        }
        return limiter.tryRemoveTokens(1);
      };
    },
  },
  'rate-limiter-flexible, awaited': {
    kind: 'rival',
    make: () => {
      const limiter = new RateLimiterMemory({ points: 10, duration: hour });
      return async (key) => (await limiter.consume(key)).remainingPoints >= 0;
    },
  },
};

/** What one contender takes of one process. */
interface Taken {
  readonly insertNs: number;
  readonly hitNs: number;
  readonly bytes: number;
}

const asked = process.argv[2] === undefined ? undefined : contenders[process.argv[2]];
if (asked === undefined) await publishAll();
else process.stdout.write(JSON.stringify(await taken(asked.make())));

async function publishAll(): Promise<void> {
  const names = Object.keys(contenders);
  const all = new Map<string, Taken[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const at of rotated(names.length, round)) all.get(names[at] as string)?.push(inItsOwnProcess(names[at] as string));
  }
  const rowsOf = (figure: keyof Taken): Row[] =>
    names.map((name) => ({ name, kind: contenders[name]?.kind ?? 'rival', rounds: (all.get(name) ?? []).map((each) => each[figure]) }));
  const baseline = 'Map and GCRA, one clock read';
  await publish([
    {
      title: 'The first call of each of 1,000,000 keys',
      what: 'Processor time of the whole process a call, garbage collection included. Keys and policy (10 an hour) are the same for all.',
      unit: 'ns',
      baseline,
      rows: rowsOf('insertNs'),
    },
    {
      title: 'A call of a random one of 1,000,000 keys',
      what: 'Processor time of the whole process a call, each key once, in random order.',
      unit: 'ns',
      baseline,
      rows: rowsOf('hitNs'),
    },
    {
      title: 'Memory of 1,000,000 keys',
      what: 'Heap and typed arrays a key after a forced garbage collection. The text of the key is the caller’s and not counted.',
      unit: 'bytes',
      baseline,
      rows: rowsOf('bytes'),
      targets: [{ row: 'tidegate, consumeSync', atMost: 60 }],
    },
  ]);
}

function inItsOwnProcess(name: string): Taken {
  return JSON.parse(execFileSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), name], { encoding: 'utf8' })) as Taken;
}

async function taken(decide: Decide): Promise<Taken> {
  const keys = Array.from({ length: keyCount }, (_, i) => ['tenant', i, 'tool'].join(':'));
  const shuffled = inRandomOrder(keys);
  await decideAll(decide, keys.slice(0, 1)); // what is made for the first key alone is not a key's
  const before = inUse();
  const insertNs = await decideAll(decide, keys.slice(1));
  const bytes = (inUse() - before) / (keyCount - 1);
  const hitNs = await decideAll(decide, shuffled);
  return { insertNs, hitNs, bytes };
}

/** Processor time a key, in nanoseconds. */
async function decideAll(decide: Decide, keys: readonly string[]): Promise<number> {
  const start = process.cpuUsage();
  let allowed = 0;
  for (const key of keys) {
    const decision = decide(key);
    // an await would cost those that need none
    if (decision === true || (decision !== false && (await decision))) allowed += 1;
  }
  const { user, system } = process.cpuUsage(start);
  if (allowed !== keys.length) throw new Error(`${allowed} of ${keys.length} calls were allowed: nothing was measured`);
  return ((user + system) / keys.length) * 1_000;
}

function inUse(): number {
  if (globalThis.gc === undefined) throw new Error('million-keys needs --expose-gc');
  globalThis.gc();
  globalThis.gc(); // the first only hands typed arrays over to be freed
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** The same order in every process (Fisher and Yates, with the multiplier of MINSTD). */
function inRandomOrder(keys: readonly string[]): string[] {
  const shuffled = [...keys];
  let state = 1;
  for (let i = shuffled.length - 1; i > 0; i -= 1) {
    state = (state * 48_271) % 2_147_483_647;
    const other = state % (i + 1);
    [shuffled[i], shuffled[other]] = [shuffled[other] as string, shuffled[i] as string];
  }
  return shuffled;
}
