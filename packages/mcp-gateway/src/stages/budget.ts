import type { Answer } from '../call.ts';
import type { Stage } from '../pipeline.ts';
import type { Budget } from '../ports.ts';
import { certainlyNotCarriedOut } from '../upstream-error.ts';

/** Sets a call's price aside before it is made and enters what it cost in the ledger afterwards. */
export function budgetStage(budget: Budget, now: () => number, onFault: (error: unknown, traceId: string) => void): Stage {
  return async (call, next) => {
    const hold = await budget.reserve(call);
    const startedAt = now();
    let answer: Answer;
    try {
      answer = await next(call);
    } catch (error) {
      // a call that may have been carried out has its price, whatever became of its answer
      const ending = certainlyNotCarriedOut(error) ? hold.release() : hold.settle({ success: false, durationMs: now() - startedAt });
      await ending.catch((fault: unknown) => onFault(fault, call.traceId));
      throw error;
    }
    // a call that waits for the client has not been carried out; the request that goes on with it pays
    const ending = waitsForInput(answer) ? hold.release() : hold.settle({ success: succeeded(answer), durationMs: now() - startedAt });
    // the call has been made: a ledger that cannot be written must not take its answer away
    await ending.catch((fault: unknown) => onFault(fault, call.traceId));
    return answer;
  };
}

function waitsForInput(answer: Answer): boolean {
  return 'result' in answer && answer.result['resultType'] === 'input_required';
}

/** Whether the server did what it was asked to: neither an error nor a tool's own `isError`. */
export function succeeded(answer: Answer): boolean {
  return 'result' in answer && answer.result['isError'] !== true;
}
