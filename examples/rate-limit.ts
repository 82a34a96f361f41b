import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';

const limiter = new RateLimiter<{ tenant: string; tool: string }>({
  key: (call) => `${call.tenant}:${call.tool}`,
  limits: [
    // all or nothing: where one refuses, none is charged
    tokenBucket({ name: 'minute', rate: per(60, 'minute'), burst: 10 }),
    tokenBucket({ name: 'hour', rate: per(1_000, 'hour') }),
  ],
});

for (let i = 0; i < 11; i++) {
  const decision = await limiter.consume({ tenant: 'acme', tool: 'search' });
  if (!decision.allowed) console.log(`${decision.limit} says wait ${decision.retryAfterMs} ms`); // minute says wait … ms
}
