import type { CircuitBreakerOptions } from '../settings.ts';
import { llmClassifier } from './llm-classifier.ts';
import { mcpClassifier } from './mcp-classifier.ts';

/**
 * Few and slow calls: a window of 20 that decides from 5 on, and no more than two calls to find out whether all is well again,
 * which is tried less and less often.
 */
const fewSlowCalls = {
  slidingWindow: { type: 'count', size: 20 },
  minimumNumberOfCalls: 5,
  failureRateThreshold: 0.5,
  slowCallRateThreshold: 0.8,
  slowCallInFlight: true,
  waitDurationInOpenStateMs: 30_000,
  waitMultiplierInOpenState: 2,
  maxWaitDurationInOpenStateMs: 600_000,
  waitJitterInOpenState: 0.2,
  openForHintAlone: true,
  permittedNumberOfCallsInHalfOpenState: 2,
} as const satisfies CircuitBreakerOptions;

/**
 * Options of a breaker for calls of a language model, to be spread: `new CircuitBreaker({ name, ...llmTraffic() })`.
 *
 * A call is slow from 60 s on, to the headers where `breakerFetch` measures it: the first token of a model that thinks may take that
 * long, that of four in five calls does not. A probe may take 5 min, as a healthy stream does. For models that are called without streaming
 * and think for minutes, give a longer `slowCallDurationThresholdMs`.
 */
export function llmTraffic(): CircuitBreakerOptions {
  return { ...fewSlowCalls, slowCallDurationThresholdMs: 60_000, maxWaitDurationInHalfOpenStateMs: 300_000, classify: llmClassifier() };
}

/**
 * Options of a breaker for calls of an MCP server, to be spread: `new CircuitBreaker({ name, ...mcpTraffic() })`.
 *
 * The SDK gives a request up after 60 s. A call is slow from half of that on, and a probe has all of it.
 */
export function mcpTraffic(): CircuitBreakerOptions {
  return { ...fewSlowCalls, slowCallDurationThresholdMs: 30_000, maxWaitDurationInHalfOpenStateMs: 60_000, classify: mcpClassifier() };
}
