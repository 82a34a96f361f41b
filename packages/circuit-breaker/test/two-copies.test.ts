import { beforeAll, describe, expect, it, vi } from 'vitest';
import * as here from '../src/index.ts';
import { pipeline, retry, timeout } from '../src/policies.ts';
import { outcomeOf } from './calls.ts';

describe('two copies of the package in one process', () => {
  let there: typeof here;
  let therePolicies: typeof import('../src/policies.ts');

  beforeAll(async () => {
    vi.resetModules();
    there = await import('../src/index.ts');
    therePolicies = await import('../src/policies.ts');
    expect(there.CircuitOpenError).not.toBe(here.CircuitOpenError);
  });

  function refusalOf(copy: typeof here): unknown {
    const breaker = new copy.CircuitBreaker();
    breaker.transitionTo('open');
    return breaker.refusal();
  }

  it('recognise the refusals of each other', () => {
    expect(refusalOf(there)).not.toBeInstanceOf(here.CircuitOpenError);
    expect(here.isCircuitOpenError(refusalOf(there))).toBe(true);
    expect(here.isRefusal(refusalOf(there))).toBe(true);
    expect(there.isCircuitOpenError(refusalOf(here))).toBe(true);
    expect(here.isTimeoutError(refusalOf(there))).toBe(false);
  });

  it('recognise the timeouts of each other, which are no refusals', async () => {
    const error = await outcomeOf(therePolicies.timeout({ totalMs: 1 }).execute(() => new Promise(() => {})));
    expect(here.isTimeoutError(error)).toBe(true);
    expect(here.isRefusal(error)).toBe(false);
    expect(here.isCircuitOpenError(error)).toBe(false);
  });

  it('fit into one pipeline', async () => {
    const breaker = new there.CircuitBreaker();
    const call = pipeline(retry({ maxAttempts: 2, initialDelayMs: 0 }), breaker, timeout({ totalMs: 1_000 }));
    await expect(call.execute(() => Promise.reject(new Error('down')))).rejects.toThrow('down');
    expect(breaker.metrics().failures).toBe(2);
    breaker.transitionTo('forced-open');
    expect(here.isCircuitOpenError(await outcomeOf(call.execute(() => 1)))).toBe(true);
  });

  it.each([undefined, null, 0, 'ERR_CIRCUIT_OPEN', {}, new Error('x'), { code: 'ERR_CIRCUIT_OPEN' }])('take %s for neither', (error) => {
    expect([here.isCircuitOpenError(error), here.isTimeoutError(error), here.isRefusal(error)]).toEqual([false, false, false]);
  });
});
