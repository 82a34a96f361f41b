import type { Execution } from './execution.ts';
import { type Opening, type OpenStream, type StreamEnd, WatchedStream } from './stream.ts';

/** One admitted stream, as its breaker sees it. Exactly one of the last three is called, once. */
export interface AdmittedStream {
  /** The first item is there. */
  answered(): void;
  succeeded(): void;
  failed(error: unknown): void;
  /** Somebody outside called it off. */
  calledOff(reason: unknown): void;
}

/** Opens a stream that was admitted, and tells how it went. A consumer who wants no more is content. */
export async function openAdmitted<T>(open: Opening<T>, execution: Execution, admitted: AdmittedStream): Promise<OpenStream<T>> {
  let over = false;
  const once = (tell: () => void) => {
    if (over) return;
    over = true;
    execution.offAbort(calledOff);
    tell();
  };
  const calledOff = (reason: unknown) => once(() => admitted.calledOff(reason));
  const ended = (end: StreamEnd) => once(() => (end.by === 'error' ? admitted.failed(end.error) : admitted.succeeded()));
  execution.onAbort(calledOff);
  try {
    const stream = await open(execution);
    if (!over) admitted.answered();
    return new WatchedStream(stream, ended);
  } catch (error) {
    ended({ by: 'error', error });
    throw error;
  }
}
