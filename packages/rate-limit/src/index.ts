export type { Clock } from './clock.ts';
export { type Allowed, type Decision, isRateLimitError, RateLimitError, type Refused } from './decision.ts';
export { type AcquireOptions, type ConsumeOptions, RateLimiter, type RateLimiterOptions } from './rate-limiter.ts';
export { per, type Rate, type TokenBucket, type TokenBucketOptions, tokenBucket } from './token-bucket.ts';
