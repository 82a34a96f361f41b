export {
  type AddressKeyOptions,
  type AddressSource,
  addressKey,
  type ClientAddressOptions,
  type Connection,
  clientAddress,
} from './http/client-address.ts';
export type { EndingResponse } from './http/ending.ts';
export { type LimitHandlerOptions, limitHandler } from './http/handler.ts';
export { type HeaderGeneration, type HeaderOptions, limitHeaders } from './http/headers.ts';
export type { HttpLimiter, HttpLimitOptions, RefusalAnswer } from './http/limiting.ts';
export { type NodeRequest, type NodeResponse, nodeLimit } from './http/node.ts';
export { type Problem, problemOf } from './http/problem.ts';
