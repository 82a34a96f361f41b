import type { Clock } from '../clock.ts';
import type { Execution } from '../execution.ts';

/** Waits for `ms` milliseconds; an abort ends the wait with its reason. */
export function pause(ms: number, clock: Clock, execution: Execution): Promise<void> {
  return new Promise((resolve, reject) => {
    execution.throwIfAborted();
    const cancel = (reason: unknown) => {
      clock.clearTimeout(timer);
      reject(reason);
    };
    const timer = clock.setTimeout(() => {
      execution.offAbort(cancel);
      resolve();
    }, ms);
    execution.onAbort(cancel);
  });
}
