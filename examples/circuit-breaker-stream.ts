// A model that is overloaded once and then tells its story.
let calls = 0;
async function* tell(): AsyncGenerator<string> {
  calls += 1;
  if (calls === 1) throw Object.assign(new Error('overloaded'), { status: 529, headers: { 'retry-after-ms': '20' } });
  yield* ['Once', 'upon', 'a time'];
}

import { CircuitBreaker } from '@tidegate/circuit-breaker';
import { llmClassifier, llmTraffic } from '@tidegate/circuit-breaker/classifiers';
import { bulkhead, pipeline, retry, retryBudget, timeout } from '@tidegate/circuit-breaker/policies';

const call = pipeline(
  retry({ classify: llmClassifier(), budget: retryBudget() }),
  new CircuitBreaker({ name: 'story', ...llmTraffic() }),
  bulkhead({ maxConcurrent: 20, maxQueue: 50 }),
  timeout({ firstItemMs: 30_000, idleMs: 10_000 }),
);

for await (const words of call.executeStream(() => tell())) {
  console.log(words);
  // Once
  // upon
  // a time
}
