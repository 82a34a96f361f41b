export { type LeaseOptions, leased } from './leases.ts';
export { type MemoryStoreOptions, memoryStore } from './memory-store.ts';
export type { Held, Rule, Settlement } from './rules/rule.ts';
export { sharedStore } from './shared-backend.ts';
export type { Change, Command, Demand, Lease, LimitReply, Refund, Renew, Reply, Reset, Settle, SharedStore, Store, Take } from './store.ts';
