import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CircuitBreaker } from '@tidegate/circuit-breaker';
import { CircuitBreakerRegistry } from '@tidegate/circuit-breaker/registry';
import * as cockatiel from 'cockatiel';
import Opossum from 'opossum';
import { type Kind, type Row, rotated } from './interleave.ts';
import { publish } from './publish.ts';

/** Makes a breaker for a key, keeps it and makes one successful call. */
type Use = (key: string) => Promise<number>;

const action = async () => 1;
const rounds = 3; // in each of the processes of a question
const window = { slidingWindow: { type: 'count', size: 100 } } as const;

const contenders: Readonly<Record<string, { readonly kind: Kind; readonly breakers: number; readonly make: () => Use }>> = {
  'an empty object in a Map': {
    kind: 'limit',
    breakers: 100_000,
    make: () => {
      const kept = new Map<string, object>();
      return (key) => {
        kept.set(key, {});
        return action();
      };
    },
  },
  'tidegate, in a Map': {
    kind: 'ours',
    breakers: 100_000,
    make: () => {
      const kept = new Map<string, CircuitBreaker>();
      return (key) => {
        const breaker = new CircuitBreaker({ name: key, ...window });
        kept.set(key, breaker);
        return breaker.execute(action);
      };
    },
  },
  'tidegate, in a registry': {
    kind: 'ours',
    breakers: 100_000,
    make: () => {
      const registry = new CircuitBreakerRegistry({ options: window, maxBreakers: 1_000_000 });
      return (key) => registry.get(key).execute(action);
    },
  },
  'cockatiel, in a Map': {
    kind: 'rival',
    breakers: 100_000,
    make: () => {
      const kept = new Map<string, cockatiel.CircuitBreakerPolicy>();
      return (key) => {
        const breaker = cockatiel.circuitBreaker(cockatiel.handleAll, {
          halfOpenAfter: 60_000,
          breaker: new cockatiel.CountBreaker({ threshold: 0.5, size: 100 }),
        });
        kept.set(key, breaker);
        return breaker.execute(action);
      };
    },
  },
  'opossum, lean, in a Map': {
    kind: 'rival',
    breakers: 10_000, // each has a timer, which makes more of them slow to make
    make: () => {
      const kept = new Map<string, Opossum<number, []>>();
      return (key) => {
        const breaker = new Opossum<number, []>(action, { timeout: false, rollingPercentilesEnabled: false, enableSnapshots: false });
        kept.set(key, breaker);
        return breaker.fire();
      };
    },
  },
};

/** What one contender takes of one process. */
interface Taken {
  readonly firstCallNs: number;
  readonly bytes: number;
}

const asked = process.argv[2] === undefined ? undefined : contenders[process.argv[2]];
if (asked === undefined) await publishAll();
else {
  process.stdout.write(JSON.stringify(await taken(asked.make(), asked.breakers)));
  process.exit(0); // opossum's timers would go on
}

async function publishAll(): Promise<void> {
  const names = Object.keys(contenders);
  const all = new Map<string, Taken[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const at of rotated(names.length, round)) all.get(names[at] as string)?.push(inItsOwnProcess(names[at] as string));
  }
  const rowsOf = (figure: keyof Taken): Row[] =>
    names.map((name) => ({ name, kind: contenders[name]?.kind ?? 'rival', rounds: (all.get(name) ?? []).map((each) => each[figure]) }));
  const baseline = 'an empty object in a Map';
  await publish([
    {
      title: 'Memory of 100,000 breakers',
      what: 'Heap and array buffers a breaker, each with a window of 100 calls (opossum: of 10 s, 10,000 breakers) after one call, after a forced garbage collection. The text of the key is the caller’s and not counted.',
      unit: 'bytes',
      baseline,
      rows: rowsOf('bytes'),
      targets: [
        { row: 'tidegate, in a Map', atMost: 1_024 },
        { row: 'tidegate, in a registry', atMost: 1_024 },
      ],
    },
    {
      title: 'A breaker and its first call',
      what: 'Processor time of the whole process to make a breaker, keep it and make one successful call through it, garbage collection included.',
      unit: 'ns',
      baseline,
      rows: rowsOf('firstCallNs'),
    },
  ]);
}

function inItsOwnProcess(name: string): Taken {
  return JSON.parse(execFileSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), name], { encoding: 'utf8' })) as Taken;
}

async function taken(use: Use, breakers: number): Promise<Taken> {
  const keys = Array.from({ length: breakers }, (_, i) => ['tenant', i, 'tool'].join(':'));
  await use('the first one'); // what is made for it alone is not a breaker's
  const before = inUse();
  const start = process.cpuUsage();
  let right = 0;
  for (const key of keys) right += await use(key);
  const { user, system } = process.cpuUsage(start);
  if (right !== breakers) throw new Error(`${right} of ${breakers} calls came out right: nothing was measured`);
  return { firstCallNs: ((user + system) * 1_000) / breakers, bytes: (inUse() - before) / breakers };
}

function inUse(): number {
  for (let round = 0; round < 4; round += 1) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
