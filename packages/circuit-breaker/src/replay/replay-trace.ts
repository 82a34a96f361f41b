import { membersOf, parseText } from '../json-text.ts';

/** What became of a recorded call. */
export type RecordedOutcome = 'success' | 'failure' | 'ignore' | 'throttled' | 'rejected';

/** One line of a trace: a call that ended, or was refused. Members that are not named here are left alone. */
export interface RecordedCall {
  /** Name of the breaker; a line without one belongs to whichever is asked for. */
  readonly name?: string;
  /** When the call began, in ms since the Unix epoch; fractions are kept. */
  readonly startMs: number;
  /** How long it took, in ms; 0 for a `rejected` one. */
  readonly durationMs: number;
  /** What it counted as. A `rejected` call was not made: what would have come of it nobody knows. */
  readonly outcome: RecordedOutcome;
  /** For how long the server asked to be left alone, in ms from the end of the call; with `throttled` only. */
  readonly throttledMs?: number;
}

/** A line that stands for calls of which there was no room to tell. */
export interface DroppedCalls {
  /** How many, 1 at least. */
  readonly dropped: number;
}

/** A trace cannot be read; says where. */
export class TraceError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'TraceError';
  /** Stable, for programs. */
  readonly code = 'ERR_TRACE';

  /** The file, where there is one. */
  declare readonly file?: string;
  /** Counted from 1; absent where no line is at fault. */
  declare readonly line?: number;
  /** Counted from 1, in UTF-16 units. */
  declare readonly column?: number;

  constructor(message: string, place: { readonly file?: string; readonly line?: number; readonly column?: number } = {}) {
    const { file, line, column } = place;
    super([[file, line, column].filter((part) => part !== undefined).join(':'), message].filter((part) => part !== '').join(' '));
    Object.assign(this, place);
  }
}

/** What is wrong with a line. */
export class BadLine {
  readonly column: number;
  readonly message: string;

  constructor(column: number, message: string) {
    this.column = column;
    this.message = message;
  }
}

const outcomes: readonly unknown[] = ['success', 'failure', 'ignore', 'throttled', 'rejected'] satisfies RecordedOutcome[];
const latestMs = 8.64e15; // the last instant that a Date knows

/** Reads one line of a trace. */
export function parseCall(text: string): RecordedCall | DroppedCalls | BadLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const mistake = parseText(text, true).mistakes?.[0];
    return new BadLine((mistake?.offset ?? 0) + 1, mistake?.message ?? 'not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return new BadLine(1, 'a call must be an object');
  const fault = faultOf(value);
  if (fault === undefined) return value as RecordedCall | DroppedCalls;
  const [member, message] = fault;
  const { tree } = parseText(text, true);
  const at = tree && membersOf(tree).findLast(({ name }) => name === member); // JSON keeps the last of two
  return new BadLine((at?.offset ?? 0) + 1, message);
}

/** The first member of a call that is wrong, and why. */
export function faultOf(call: unknown): [member: string, message: string] | undefined {
  if (typeof call !== 'object' || call === null) return wrong('call', 'an object', call);
  const { outcome, dropped } = call as { outcome?: unknown; dropped?: unknown };
  if (dropped === undefined || outcome !== undefined) return faultOfCall(call);
  return Number.isSafeInteger(dropped) && (dropped as number) > 0 ? undefined : wrong('dropped', 'a whole number from 1', dropped);
}

function faultOfCall(call: object): [member: string, message: string] | undefined {
  const { name, startMs, durationMs, outcome, throttledMs } = call as Partial<Record<keyof RecordedCall, unknown>>;
  if (!outcomes.includes(outcome)) return wrong('outcome', `one of ${outcomes.join(', ')}`, outcome);
  if (!within(startMs, latestMs)) return wrong('startMs', `a number from 0 to ${latestMs}`, startMs);
  if (!within(durationMs, latestMs)) return wrong('durationMs', `a number from 0 to ${latestMs}`, durationMs);
  if (outcome === 'throttled' ? !within(throttledMs, Number.MAX_SAFE_INTEGER) : throttledMs !== undefined) {
    return wrong('throttledMs', "a number from 0, and there with outcome 'throttled' only", throttledMs);
  }
  return name === undefined || typeof name === 'string' ? undefined : wrong('name', 'a string', name);
}

function wrong(member: string, what: string, value: unknown): [string, string] {
  return [member, `${member} must be ${what}, not ${value === undefined ? 'missing' : (JSON.stringify(value)?.slice(0, 60) ?? 'that')}`];
}

function within(value: unknown, max: number): boolean {
  return typeof value === 'number' && value >= 0 && value <= max;
}
