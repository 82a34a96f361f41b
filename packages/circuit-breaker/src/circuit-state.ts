/**
 * The states of a circuit. `closed` admits, `open` refuses until a time, `half-open` admits a few probes. Three are set by
 * hand: `forced-open` refuses until told otherwise, `disabled` admits and counts nothing, `metrics-only` counts and tells
 * but never opens.
 */
export type CircuitState = 'closed' | 'open' | 'half-open' | 'forced-open' | 'disabled' | 'metrics-only';

/** Every state there is. */
export const circuitStates: readonly CircuitState[] = ['closed', 'open', 'half-open', 'forced-open', 'disabled', 'metrics-only'];
