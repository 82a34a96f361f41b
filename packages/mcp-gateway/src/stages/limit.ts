import type { Stage } from '../pipeline.ts';
import type { Limiter } from '../ports.ts';
import { RefusedError } from '../refusal.ts';

/** Refuses calls above the rate limits. */
export function limitStage(limiter: Limiter): Stage {
  return async (call, next) => {
    const decision = await limiter.consume(call);
    if (decision.allowed) return next(call);
    const { code, message, limit, retryAfterMs } = decision;
    throw new RefusedError({ code, message, limit, ...(retryAfterMs !== undefined && { retryAfterMs }) });
  };
}
