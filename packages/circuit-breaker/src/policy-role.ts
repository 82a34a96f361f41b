/** What a policy does, as far as the order in a pipeline depends on it. */
export type PolicyRole = 'fallback' | 'retry' | 'circuit-breaker' | 'bulkhead' | 'hedge' | 'timeout' | 'chaos';

/** Under which a policy of this package says its {@link PolicyRole}; registered, so that another copy of the package is understood. */
export const role: unique symbol = Symbol.for('tidegate.policy-role') as typeof role;
