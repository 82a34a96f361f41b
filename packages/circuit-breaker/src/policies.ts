export type { Policy, PolicyContext } from './execution.ts';
export { type Pipeline, pipeline } from './pipeline.ts';
export { type Retry, type RetryOptions, retry } from './retry.ts';
export { type Timeout, type TimeoutOptions, timeout } from './timeout.ts';
