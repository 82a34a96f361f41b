import { CircuitBreaker } from '@tidegate/circuit-breaker';
import { llmTraffic } from '@tidegate/circuit-breaker/classifiers';
import { pipeline, retry, timeout } from '@tidegate/circuit-breaker/policies';
import * as cockatiel from 'cockatiel';
import Opossum from 'opossum';
import { type Contender, interleave } from './interleave.ts';
import { publish } from './publish.ts';

// Each loop is written out: a loop shared by all contenders would be compiled for all of them at once, and be fair to none.

const action = async () => 1;
const emptyWrapper = async (fn: () => Promise<number>) => await fn();

const permits = new CircuitBreaker();
const breaker = new CircuitBreaker();
const counting = new CircuitBreaker({ slidingWindow: { type: 'count', size: 100 } });
const slowCalls = new CircuitBreaker({
  slidingWindow: { type: 'count', size: 20 },
  slowCallRateThreshold: 0.5,
  slowCallDurationThresholdMs: 1_000,
});
const llm = new CircuitBreaker(llmTraffic());
const leanOptions = { timeout: false, rollingPercentilesEnabled: false, enableSnapshots: false } as const;
const opossum = new Opossum(action);
const leanOpossum = new Opossum(action, leanOptions);
const halfOpenAfter = 60_000;
const cockatielOf = (strategy: cockatiel.IBreaker) => cockatiel.circuitBreaker(cockatiel.handleAll, { halfOpenAfter, breaker: strategy });
const consecutive = cockatielOf(new cockatiel.ConsecutiveBreaker(5));
const count = cockatielOf(new cockatiel.CountBreaker({ threshold: 0.5, size: 100 }));
const sampling = cockatielOf(new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 10_000 }));

const bare: Contender = {
  name: 'bare await',
  kind: 'limit',
  run: async (calls) => {
    let sum = 0;
    for (let i = 0; i < calls; i += 1) sum += await action();
    return sum;
  },
};

const closed: Contender[] = [
  bare,
  {
    name: 'empty async wrapper',
    kind: 'limit',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await emptyWrapper(action);
      return sum;
    },
  },
  {
    name: 'tidegate, permit API',
    kind: 'ours',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) {
        const permit = permits.tryAcquire();
        if (permit === undefined) throw permits.refusal();
        try {
          sum += await action();
          permits.onSuccess(permit);
        } catch (error) {
          permits.onFailure(permit, error);
          throw error;
        }
      }
      return sum;
    },
  },
  {
    name: 'tidegate, execute',
    kind: 'ours',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await breaker.execute(action);
      return sum;
    },
  },
  {
    name: 'tidegate, execute, last 100 calls',
    kind: 'ours',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await counting.execute(action);
      return sum;
    },
  },
  {
    name: 'tidegate, execute, slow calls of the last 20',
    kind: 'ours',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await slowCalls.execute(action);
      return sum;
    },
  },
  {
    name: 'tidegate, execute, llmTraffic()',
    kind: 'ours',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await llm.execute(action);
      return sum;
    },
  },
  {
    name: 'cockatiel, consecutive',
    kind: 'rival',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await consecutive.execute(action);
      return sum;
    },
  },
  {
    name: 'cockatiel, last 100 calls',
    kind: 'rival',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await count.execute(action);
      return sum;
    },
  },
  {
    name: 'cockatiel, calls of 10 s',
    kind: 'rival',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await sampling.execute(action);
      return sum;
    },
  },
  {
    name: 'opossum, lean',
    kind: 'rival',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await leanOpossum.fire();
      return sum;
    },
  },
  {
    name: 'opossum',
    kind: 'rival',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await opossum.fire();
      return sum;
    },
  },
];

const openBreaker = new CircuitBreaker({ waitDurationInOpenStateMs: 3_600_000 });
openBreaker.transitionTo('open');
const openOpossum = new Opossum(action, { ...leanOptions, resetTimeout: 3_600_000 });
openOpossum.open();
const openCockatiel = cockatiel.circuitBreaker(cockatiel.handleAll, {
  halfOpenAfter: 3_600_000,
  breaker: new cockatiel.ConsecutiveBreaker(1),
});
const refusal = new Error('refused');
await openCockatiel.execute(() => Promise.reject(refusal)).catch(() => {});

const open: Contender[] = [
  {
    name: 'bare Promise.reject',
    kind: 'limit',
    run: async (calls) => {
      let refused = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await Promise.reject(refusal);
        } catch {
          refused += 1;
        }
      }
      return refused;
    },
  },
  {
    name: 'tidegate, permit API',
    kind: 'ours',
    run: async (calls) => {
      let refused = 0;
      for (let i = 0; i < calls; i += 1) if (openBreaker.tryAcquire() === undefined) refused += 1;
      return refused;
    },
  },
  {
    name: 'tidegate, execute',
    kind: 'ours',
    run: async (calls) => {
      let refused = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await openBreaker.execute(action);
        } catch {
          refused += 1;
        }
      }
      return refused;
    },
  },
  {
    name: 'cockatiel',
    kind: 'rival',
    run: async (calls) => {
      let refused = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await openCockatiel.execute(action);
        } catch {
          refused += 1;
        }
      }
      return refused;
    },
  },
  {
    name: 'opossum, lean',
    kind: 'rival',
    run: async (calls) => {
      let refused = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await openOpossum.fire();
        } catch {
          refused += 1;
        }
      }
      return refused;
    },
  },
];

const ours = pipeline(retry({ maxAttempts: 3 }), new CircuitBreaker(), timeout({ totalMs: 10_000 }));
const theirs = cockatiel.wrap(
  cockatiel.retry(cockatiel.handleAll, { maxAttempts: 2, backoff: new cockatiel.ExponentialBackoff() }), // two more than the first
  cockatielOf(new cockatiel.ConsecutiveBreaker(5)),
  cockatiel.timeout(10_000, cockatiel.TimeoutStrategy.Aggressive),
);

const policies: Contender[] = [
  bare,
  {
    name: 'tidegate, pipeline',
    kind: 'ours',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await ours.execute(action);
      return sum;
    },
  },
  {
    name: 'tidegate, pipeline, signal read',
    kind: 'ours',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await ours.execute(({ signal }) => (signal.aborted ? Promise.resolve(0) : action()));
      return sum;
    },
  },
  {
    name: 'cockatiel, wrap',
    kind: 'rival',
    run: async (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i += 1) sum += await theirs.execute(action);
      return sum;
    },
  },
];

const large = 50_000;
const few = 1_000;
const failing = () => Promise.reject(refusal);

/** Breakers whose window holds so many calls, of which so few have failed that many more may. */
async function filled(calls: number) {
  const window = { slidingWindow: { type: 'count', size: calls }, failureRateThreshold: 1 } as const;
  const tidegateOne = new CircuitBreaker(window);
  const cockatielOne = cockatielOf(new cockatiel.CountBreaker({ threshold: 0.999_999, size: calls }));
  const opossumOne = new Opossum((fails: boolean) => (fails ? failing() : action()), {
    timeout: false,
    rollingCountTimeout: 3_600_000,
    rollingCountBuckets: 1,
    errorThresholdPercentage: 101,
  });
  for (let call = 0; call < calls; call += 1) {
    await tidegateOne.execute(action);
    await cockatielOne.execute(action);
    await opossumOne.fire(false);
  }
  return { tidegateOne, cockatielOne, opossumOne };
}

const [small, big] = [await filled(few), await filled(large)];

const failures: Contender[] = [
  {
    name: 'bare calls',
    kind: 'limit',
    run: async (calls) => {
      let failed = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await failing();
        } catch {
          failed += await action();
        }
      }
      return failed;
    },
  },
  {
    name: 'tidegate, 1 000 calls in the window',
    kind: 'ours',
    run: async (calls) => {
      let failed = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await small.tidegateOne.execute(failing);
        } catch {
          failed += await small.tidegateOne.execute(action);
        }
      }
      return failed;
    },
  },
  {
    name: 'tidegate, 50 000 calls in the window',
    kind: 'ours',
    run: async (calls) => {
      let failed = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await big.tidegateOne.execute(failing);
        } catch {
          failed += await big.tidegateOne.execute(action);
        }
      }
      return failed;
    },
  },
  {
    name: 'cockatiel, 1 000 calls in the window',
    kind: 'rival',
    run: async (calls) => {
      let failed = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await small.cockatielOne.execute(failing);
        } catch {
          failed += await small.cockatielOne.execute(action);
        }
      }
      return failed;
    },
  },
  {
    name: 'cockatiel, 50 000 calls in the window',
    kind: 'rival',
    run: async (calls) => {
      let failed = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await big.cockatielOne.execute(failing);
        } catch {
          failed += await big.cockatielOne.execute(action);
        }
      }
      return failed;
    },
  },
  {
    name: 'opossum, 1 000 calls in the window',
    kind: 'rival',
    run: async (calls) => {
      let failed = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await small.opossumOne.fire(true);
        } catch {
          failed += await small.opossumOne.fire(false);
        }
      }
      return failed;
    },
  },
  {
    name: 'opossum, 50 000 calls in the window',
    kind: 'rival',
    run: async (calls) => {
      let failed = 0;
      for (let i = 0; i < calls; i += 1) {
        try {
          await big.opossumOne.fire(true);
        } catch {
          failed += await big.opossumOne.fire(false);
        }
      }
      return failed;
    },
  },
];

await publish([
  {
    title: 'A call while the circuit is closed',
    what: 'One awaited call of `async () => 1` that succeeds. The permit API adds no promise of its own; no `execute(fn)` can be cheaper than an empty async function around the call.',
    unit: 'ns',
    baseline: 'bare await',
    rows: await interleave(closed),
    targets: [
      { row: 'tidegate, permit API', versus: 'bare await', atMost: 1.1 },
      { row: 'tidegate, execute', versus: 'empty async wrapper', atMost: 1.1 },
      { row: 'tidegate, execute, slow calls of the last 20', versus: 'empty async wrapper', atMost: 2.4 },
      { row: 'tidegate, execute, slow calls of the last 20', versus: 'cockatiel, calls of 10 s', atMost: 1 },
      { row: 'tidegate, execute, llmTraffic()', versus: 'empty async wrapper', atMost: 2.4 },
      { row: 'tidegate, execute, llmTraffic()', versus: 'cockatiel, calls of 10 s', atMost: 1 },
    ],
  },
  {
    title: 'A call that the open circuit refuses',
    what: 'One refusal, caught. The permit API answers with a value and throws nothing. A refusal by opossum is measured in its lean configuration, the cheaper of the two.',
    unit: 'ns',
    baseline: 'bare Promise.reject',
    rows: await interleave(open),
    targets: [{ row: 'tidegate, execute', versus: 'bare Promise.reject', atMost: 0.7 }],
  },
  {
    title: 'A call that fails and one that succeeds, while the circuit stays closed',
    what: 'One awaited call that rejects, caught, and one that does not, so that no circuit opens. The windows are full from the start; what opossum counts within its rolling time grows by each call that is measured.',
    unit: 'ns',
    baseline: 'bare calls',
    rows: await interleave(failures),
    targets: [{ row: 'tidegate, 50 000 calls in the window', versus: 'tidegate, 1 000 calls in the window', atMost: 1.1 }],
  },
  {
    title: 'Retry, circuit breaker and time limit around one call',
    what: 'Three attempts at most, five failures in a row open the circuit, ten seconds an attempt; the call succeeds at once. An `AbortSignal` is made by us when the function reads it, by cockatiel always.',
    unit: 'ns',
    baseline: 'bare await',
    rows: await interleave(policies),
    targets: [{ row: 'tidegate, pipeline', atMost: 1_000 }],
  },
]);
opossum.shutdown();
leanOpossum.shutdown();
openOpossum.shutdown();
small.opossumOne.shutdown();
big.opossumOne.shutdown();
