// A weather service that has just gone down: it refuses every call.
const forecast = async (city: string, _signal: AbortSignal): Promise<string> => {
  throw new Error(`no forecast for ${city}: connection refused`);
};

import { CircuitBreaker, isCircuitOpenError } from '@tidegate/circuit-breaker';
import { pipeline, retry, timeout } from '@tidegate/circuit-breaker/policies';

const breaker = new CircuitBreaker({ name: 'weather' }); // opens after 5 failures in a row, for 60 s
const call = pipeline(retry({ maxAttempts: 2 }), breaker, timeout({ totalMs: 2_000 }));

for (let i = 0; i < 4; i++) {
  try {
    console.log(await call.execute(({ signal }) => forecast('Seoul', signal)));
  } catch (error) {
    console.log(isCircuitOpenError(error) ? `come back in ${error.retryAfterMs} ms` : (error as Error).message);
    // no forecast for Seoul: connection refused
    // no forecast for Seoul: connection refused
    // come back in … ms
    // come back in … ms
  }
}
