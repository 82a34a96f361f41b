/** Prints the bytes a breaker takes: `node --expose-gc … bytes-per-breaker.ts <breakers> <registry|bare|listening>`. */
import { CircuitBreaker } from '../src/index.ts';
import { CircuitBreakerRegistry } from '../src/registry.ts';

function used(): number {
  for (let round = 0; round < 4; round += 1) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external; // external includes array buffers
}

const [breakers, holder] = [Number(process.argv[2]), process.argv[3]];
const keys = Array.from({ length: breakers }, (_, i) => `https://host-${i}.example`);
const options = { slidingWindow: { type: 'count', size: 100 } } as const;
const bare: CircuitBreaker[] = new Array(breakers);
const registry = new CircuitBreakerRegistry({ options, maxBreakers: breakers });
if (holder === 'listening') for (const event of ['success', 'failure', 'state-change'] as const) registry.on(event, () => {});

function make(key: string, at: number): CircuitBreaker {
  if (holder !== 'bare') return registry.get(key);
  const breaker = new CircuitBreaker({ ...options, name: key });
  bare[at] = breaker;
  return breaker;
}

const before = used();
keys.forEach((key, at) => {
  const breaker = make(key, at);
  const permit = breaker.tryAcquire();
  if (permit !== undefined) breaker.onSuccess(permit);
});
const after = used();
if (registry.size + bare.filter(Boolean).length !== breakers) throw new Error('breakers are missing');
process.stdout.write(String(Math.round((after - before) / breakers)));
