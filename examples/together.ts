async function search(_words: string, _signal: AbortSignal): Promise<string> {
  return '7 results';
}

import { CircuitBreaker } from '@tidegate/circuit-breaker';
import { pipeline, retry, timeout } from '@tidegate/circuit-breaker/policies';
import { CostTracker } from '@tidegate/cost-tracker';
import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';

const limiter = new RateLimiter({ limits: [tokenBucket({ rate: per(60, 'minute'), burst: 10 })] });
const tracker = new CostTracker({ toolPrices: { search: { perCallUsd: '0.002' } } });
const guarded = pipeline(retry({ maxAttempts: 2 }), new CircuitBreaker({ name: 'search' }), timeout({ totalMs: 2_000 }));

await limiter.acquire();
const hold = await tracker.reserve({ kind: 'tool', name: 'search' });
const answer = await guarded.execute(({ signal }) => search('tide tables', signal));
await hold.settle();
console.log(answer, await tracker.monthlyTotalUsd()); // 7 results 0.002
