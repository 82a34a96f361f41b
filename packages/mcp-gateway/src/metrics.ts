import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { GatewayEvents, Listeners } from './events.ts';
import { countedName, durationBounds } from './summary.ts';

const states = ['closed', 'half-open', 'open', 'forced-open', 'disabled', 'metrics-only'];

/** A counter, what it says, its labels, and the event that it counts. */
const counters = [
  ['tidegate_calls_total', 'Calls by what became of them.', ['tenant', 'server', 'name', 'outcome'], 'call'],
  ['tidegate_refusals_total', 'Calls without an answer of their server.', ['tenant', 'server', 'code'], 'call'],
  ['tidegate_retries_total', 'Attempts after the first.', ['server'], 'retry'],
  ['tidegate_fallback_calls_total', 'Calls that went to a fallback.', ['server'], 'fallback'],
  ['tidegate_circuit_transitions_total', 'Changes of a circuit, re-admissions among them.', ['server', 'to'], 'circuit'],
  ['tidegate_bad_frames_total', 'What servers sent that is no message.', ['server'], 'frame'],
  ['tidegate_budget_thresholds_total', 'Thresholds that budgets crossed.', ['budget', 'level'], 'budget'],
] as const satisfies readonly (readonly [string, string, readonly string[], keyof GatewayEvents])[];

/** Listens to a gateway and keeps its numbers for Prometheus. */
export class Metrics {
  readonly #registry = new Registry();

  constructor(events: Listeners, sessions: () => number) {
    const registers = [this.#registry];
    this.#registry.setDefaultLabels({ service: 'tidegate', role: 'gateway', shard: '0' });
    for (const [name, help, labelNames, event] of counters) {
      const counter = new Counter({ name, help, labelNames, registers });
      events.on(event, (payload) => {
        const labels = labelsOf(labelNames, payload);
        if (labels !== undefined) counter.inc(labels);
      });
    }
    const duration = new Histogram({
      name: 'tidegate_call_duration_seconds',
      help: 'From request to answer.',
      labelNames: ['tenant', 'server', 'name'],
      buckets: durationBounds,
      registers,
    });
    events.on('call', (call) => {
      duration.observe({ tenant: call.tenant, server: call.server, name: countedName(call) }, call.durationMs / 1_000);
    });
    const circuit = new Gauge({
      name: 'tidegate_circuit_state',
      help: '1 for the state a circuit is in.',
      labelNames: ['server', 'state'],
      registers,
    });
    events.on('circuit', ({ server, to }) => {
      for (const state of states) circuit.set({ server, state }, state === to ? 1 : 0);
    });
    new Gauge({
      name: 'tidegate_sessions',
      help: 'Client sessions open now.',
      registers,
      collect() {
        this.set(sessions());
      },
    });
  }

  /** Everything, in the text format of Prometheus. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** The media type of {@link Metrics.text}. */
  get contentType(): string {
    return this.#registry.contentType;
  }
}

/** The event's members that are labels; undefined where it lacks one, and so is not of this counter. */
function labelsOf(names: readonly string[], event: object): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  for (const label of names) {
    const value =
      label === 'name' && 'kind' in event ? countedName(event as GatewayEvents['call']) : (event as Record<string, unknown>)[label];
    if (typeof value !== 'string') return undefined;
    labels[label] = value;
  }
  return labels;
}
