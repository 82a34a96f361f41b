import type { Answer } from '../call.ts';
import type { Stage } from '../pipeline.ts';
import type { Budget } from '../ports.ts';
import { certainlyNotCarriedOut } from '../upstream-error.ts';

/** Sets a call's price aside before it is made and enters what it cost in the ledger afterwards. */
export function budgetStage(budget: Budget, now: () => number): Stage {
  return async (call, next) => {
    const hold = await budget.reserve(call);
    const startedAt = now();
    let answer: Answer;
    try {
      answer = await next(call);
    } catch (error) {
      // a call that may have been carried out has its price, whatever became of its answer
      if (certainlyNotCarriedOut(error)) await hold.release();
      else await hold.settle({ success: false, durationMs: now() - startedAt });
      throw error;
    }
    // a call that waits for the client has not been carried out; the request that goes on with it pays
    if (waitsForInput(answer)) await hold.release();
    else await hold.settle({ success: succeeded(answer), durationMs: now() - startedAt });
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
