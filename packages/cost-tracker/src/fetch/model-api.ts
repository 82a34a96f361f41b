import type { OutputLimit } from '../meter/meter.ts';
import type { Seen } from '../meter/metered-call.ts';
import type { Body } from '../usage/reported-usage.ts';

/** The shapes in which models are called. */
export type ModelApiName = 'openai-chat' | 'openai-responses' | 'openai-embeddings' | 'anthropic-messages' | 'gemini';

/** One shape in which models are called over HTTP. */
export interface ModelApi {
  readonly name: ModelApiName;
  /** Matches the path of its calls; the group `model` is the model, where the path names it. */
  readonly path: RegExp;
  /** What a call may answer. */
  outputOf(body: Body): OutputLimit;
  /** The same call with another limit for each answer. */
  withLimit(body: Body, each: number): Body;
  /** The service tier that is asked for, where it may have a price of its own. */
  tierOf?(body: Body): string | undefined;
  /** The region that is asked for. */
  regionOf?(body: Body): string | undefined;
  /** The same call, asking for the usage of its stream; undefined where it asks already, or need not. */
  askingForUsage?(body: Body): Body | undefined;
  /** Whether an event is there only because usage was asked for. */
  isUsageOnly?(event: Body): boolean;
  /** A reader for one answer. */
  reader(): AnswerReader;
}

/** Reads one answer as it comes. */
export interface AnswerReader {
  /** Everything that was told so far. */
  readonly seen: Seen;
  /** Whether the answer has said its last word, though the connection may stay open. */
  readonly over: boolean;
  /** Takes an event of a stream. */
  event(event: Body): void;
  /** Takes a line of a stream that is no JSON, such as `[DONE]`. */
  mark?(data: string): void;
  /** Takes an answer that is no stream. */
  whole(answer: unknown): void;
}

/** A limit as a body names it; none where it is no limit. */
export function limitOf(...values: readonly unknown[]): number | undefined {
  const found = values.find((value) => value !== undefined && value !== null);
  return typeof found === 'number' && Number.isSafeInteger(found) && found > 0 ? found : undefined;
}

/** UTF-8 bytes of texts; what is no text has none. */
export function bytesOf(...values: readonly unknown[]): number {
  return values.reduce<number>((sum, value) => sum + (typeof value === 'string' ? Buffer.byteLength(value) : 0), 0);
}

/** UTF-8 bytes of a value as JSON. */
export function jsonBytesOf(value: unknown): number {
  return value === undefined || value === null ? 0 : bytesOf(JSON.stringify(value));
}
