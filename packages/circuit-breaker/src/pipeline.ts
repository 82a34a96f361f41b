import {
  type ChainedPolicy,
  type ExecuteOptions,
  Execution,
  type ExecutionContext,
  type Policy,
  type PolicyContext,
  type Protected,
  run,
  underSignal,
} from './execution.ts';
import { checkOrder } from './pipeline-order.ts';

/**
 * Puts policies around each other, the first outermost: `pipeline(retry(), breaker, timeout({ totalMs: 2_000 }))` retries
 * calls through the breaker, each attempt with a time limit of its own.
 *
 * Any object with an `execute(fn, { signal })` fits. All policies share one cancellation, whose `AbortSignal` is made only
 * if somebody reads it.
 *
 * The usual order is `fallback, retry, breaker, bulkhead, hedge, timeout, chaos`, each left out where it is not needed.
 *
 * @throws RangeError for an order that undoes what a policy is for, such as a retry inside a breaker: the breaker would count a
 * retried success and never see the failures before it.
 */
export function pipeline(...policies: readonly Policy[]): Pipeline {
  return new Pipeline(policies);
}

/** What {@link pipeline} makes. */
export class Pipeline implements Policy {
  readonly #policies: readonly Policy[];

  /** @internal */
  constructor(policies: readonly Policy[]) {
    this.#policies = policies.flatMap((policy) => (policy instanceof Pipeline ? policy.#policies : [policy]));
    checkOrder(this.#policies);
  }

  /** Runs `fn` inside all policies. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    const signal = options?.signal;
    return signal === undefined ? this[run](fn, new Execution()) : underSignal(signal, (execution) => this[run](fn, execution));
  }

  /** @internal */
  [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    return this.#runFrom(0, fn, execution);
  }

  #runFrom<T>(at: number, fn: Protected<T>, execution: Execution): Promise<T> {
    const policy = this.#policies[at];
    if (policy === undefined) return innermost(fn, execution);
    if (isChained(policy) && at + 1 === this.#policies.length) return policy[run](fn, execution);
    const inner = (context: Partial<ExecutionContext> | undefined) => this.#runInside(at + 1, fn, context, execution);
    return isChained(policy) ? policy[run](inner, execution) : foreign(policy, inner, execution);
  }

  /** Goes on with the execution that the policy outside hands inwards; a foreign one hands a signal, or nothing. */
  #runInside<T>(at: number, fn: Protected<T>, context: Partial<ExecutionContext> | undefined, outer: Execution): Promise<T> {
    if (context instanceof Execution) return this.#runFrom(at, fn, context);
    const signal = context?.signal;
    return signal === undefined
      ? this.#runFrom(at, fn, outer)
      : underSignal(signal, (execution) => this.#runFrom(at, fn, execution), outer);
  }
}

function isChained(policy: Policy): policy is ChainedPolicy {
  return run in policy;
}

/** Runs another library's policy so that what it throws at once is a rejection too. */
async function foreign<T>(policy: Policy, fn: (context: PolicyContext) => Promise<T>, execution: Execution): Promise<T> {
  return policy.execute(fn, { signal: execution.signal });
}

async function innermost<T>(fn: Protected<T>, execution: Execution): Promise<T> {
  return fn(execution);
}
