import { onlyKnown } from '../options.ts';
import type { CircuitBreakerOptions } from '../settings.ts';
import { EventQueue } from './event-queue.ts';
import { checkedCall, type TraceReport, TraceSurvey } from './replay-survey.ts';
import { Timeline } from './replay-timeline.ts';
import type { DroppedCalls, RecordedCall } from './replay-trace.ts';
import { type PolicyReport, ReplayedPolicy, type ReplayedTransition } from './replayed-policy.ts';
import { TraceFile } from './trace-file.ts';

/** What is replayed. */
export interface ReplayOptions {
  /** The breakers that are compared, by what they are to be called. A `classify` is not asked: outcomes are the trace's. */
  readonly policies: Readonly<Record<string, CircuitBreakerOptions>>;
  /** Whose calls of the trace are replayed. Needed where it holds several names. */
  readonly name?: string | undefined;
  /** Called at each change of a state. A wait that is over is told at that instant, not at the next call. */
  readonly onTransition?: (label: string, transition: ReplayedTransition) => void;
}

/** What a replay found. */
export interface ReplayReport {
  /** Of this shape. */
  readonly version: 1;
  /** What the trace holds. */
  readonly trace: TraceReport;
  /** What each policy would have done, in their order. */
  readonly policies: readonly PolicyReport[];
}

/** What is drawn of a replay, in equal parts of the trace's time. */
export interface ReplayDrawing {
  readonly failures: readonly number[];
  readonly bands: readonly { readonly open: readonly number[]; readonly halfOpen: readonly number[] }[];
}

/** A report and its picture. */
export interface ReplayResult {
  readonly report: ReplayReport;
  readonly drawing: ReplayDrawing;
}

const known = ['policies', 'name', 'onTransition'];
const mostParts = 500;
const mostBands = 4_000; // parts of all policies together: what bounds the size of the picture

/**
 * Says what each policy's breaker would have done with recorded calls. Reads the file twice and holds no more of it than the
 * calls that overlap, in whatever order they were written.
 *
 * @throws {@link TraceError} (`ERR_TRACE`) with file, line and column of a line that is no call.
 * @throws RangeError for options of a breaker that are wrong, and where the trace holds several names and none is asked for.
 */
export async function replayTrace(file: string, options: ReplayOptions): Promise<ReplayReport> {
  return (await drawnReplay(file, options)).report;
}

/** As {@link replayTrace}, with what is drawn. */
export async function drawnReplay(file: string, options: ReplayOptions): Promise<ReplayResult> {
  onlyKnown('replay', options, known);
  const trace = await TraceFile.open(file);
  try {
    const survey = new TraceSurvey(options.name);
    await trace.read((call) => survey.add(call));
    const replay = new Replay(survey, options);
    await trace.read((call) => replay.add(call));
    return replay.end();
  } finally {
    await trace.close();
  }
}

/**
 * As {@link replayTrace}, of calls in memory.
 *
 * @throws {@link TraceError} for a call that is none.
 */
export function replayCalls(calls: readonly RecordedCall[], options: ReplayOptions): ReplayReport {
  onlyKnown('replay', options, known);
  const survey = new TraceSurvey(options.name);
  calls.forEach((call, index) => {
    survey.add(checkedCall(call, index));
  });
  const replay = new Replay(survey, options);
  for (const call of calls) replay.add(call);
  return replay.end().report;
}

interface Waiting {
  readonly call: RecordedCall;
  readonly line: number;
}

/** What comes first at one instant: what is over at once, then what goes on, then what was refused. */
function rank({ call: { durationMs, outcome } }: Waiting): number {
  if (outcome === 'rejected') return 2;
  return durationMs === 0 ? 0 : 1;
}

function before(a: Waiting, b: Waiting): boolean {
  if (a.call.startMs !== b.call.startMs) return a.call.startMs < b.call.startMs;
  const [first, second] = [rank(a), rank(b)];
  return first === second ? a.line < b.line : first < second;
}

/** Puts calls in the order of their starts, as late as their disorder asks for, and hands them to every policy. */
class Replay {
  readonly #survey: TraceSurvey;
  readonly #trace: TraceReport;
  readonly #policies: readonly ReplayedPolicy[];
  readonly #failures: Timeline;
  readonly #waiting = new EventQueue<Waiting>(before);
  #latestStartMs = Number.NEGATIVE_INFINITY;
  #line = 0;

  constructor(survey: TraceSurvey, { policies, onTransition }: ReplayOptions) {
    this.#survey = survey;
    this.#trace = survey.report();
    const given = Object.entries(policies);
    const { fromMs, toMs } = this.#trace;
    const span = { fromMs, toMs, parts: Math.min(mostParts, Math.ceil(mostBands / Math.max(1, given.length))) };
    this.#failures = new Timeline(fromMs, toMs, span.parts);
    this.#policies = given.map(
      ([label, options]) => new ReplayedPolicy(label, options, span, onTransition && ((transition) => onTransition(label, transition))),
    );
  }

  add(call: RecordedCall | DroppedCalls): void {
    if (!('outcome' in call) || !this.#survey.wants(call)) return;
    this.#line += 1;
    this.#waiting.add({ call, line: this.#line });
    this.#latestStartMs = Math.max(this.#latestStartMs, call.startMs);
    const settled = this.#latestStartMs - this.#survey.disorderMs; // no later line begins before
    while ((this.#waiting.first?.call.startMs ?? settled) < settled) this.#begin();
  }

  end(): ReplayResult {
    while (this.#waiting.first !== undefined) this.#begin();
    const policies = this.#policies.map((policy) => policy.end());
    return {
      report: { version: 1, trace: this.#trace, policies },
      drawing: { failures: this.#failures.counts(), bands: this.#policies.map((policy) => policy.bands()) },
    };
  }

  #begin(): void {
    const next = this.#waiting.take();
    if (next === undefined) return;
    const { call, line } = next;
    if (call.outcome === 'failure' || call.outcome === 'throttled') this.#failures.count(call.startMs + call.durationMs);
    for (const policy of this.#policies) policy.begin(call, line);
  }
}
