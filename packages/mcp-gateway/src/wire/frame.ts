import { classify } from '../json-rpc.ts';
import { sampleOf } from './lines.ts';
import type { PipeListener } from './pipe.ts';

/** Hands on the message that a server sent as text, or what is wrong with it: for pipes on which every answer comes the same way. */
export function takeFrame(text: string, kind: 'line' | 'message', listener: PipeListener): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    listener.problem({ problem: `sent a ${kind} that is not JSON`, sample: sampleOf(text) });
    return;
  }
  const classified = classify(value);
  if (classified.kind !== 'invalid') {
    listener.message(classified.message);
    return;
  }
  const id = (value as { id?: unknown } | null)?.id;
  const problem = { problem: `sent ${classified.problem}`, sample: sampleOf(text) };
  listener.problem(typeof id === 'number' ? { ...problem, id } : problem);
}
