import {
  type ChainedPolicy,
  type ExecuteOptions,
  Execution,
  type ExecutionContext,
  type Policy,
  type PolicyContext,
  type Protected,
  result,
  run,
  underSignal,
} from '../execution.ts';
import { role } from '../policy-role.ts';
import {
  type Opening,
  type OpenStream,
  opened,
  openedOf,
  ProtectedIterator,
  type ProtectedStream,
  runStream,
  type StreamPolicy,
} from '../stream.ts';
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

  /**
   * Opens a stream inside all policies: retries, fallbacks and hedges work until its first item is there and never after;
   * time limits, breakers and bulkheads hold on to its end. Nothing is called before the first `next()`.
   */
  executeStream<T>(fn: ProtectedStream<T>, options?: ExecuteOptions): AsyncIterableIterator<T> {
    return new ProtectedIterator((execution) => this[runStream]((inner) => opened(fn, inner), execution), options);
  }

  /** @internal */
  [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    return this.#runFrom(0, fn, execution);
  }

  /** @internal */
  async [runStream]<T>(open: Opening<T>, execution: Execution): Promise<OpenStream<T>> {
    return openedOf(await this.#openFrom(0, open, execution), execution); // another library's policy may answer with a plain one
  }

  #runFrom<T>(at: number, fn: Protected<T>, execution: Execution): Promise<T> {
    const policy = this.#policies[at];
    if (policy === undefined) return result(fn, execution);
    if (isChained(policy) && at + 1 === this.#policies.length) return policy[run](fn, execution);
    const inner = (context: Partial<ExecutionContext> | undefined) =>
      inside(context, execution, (within) => this.#runFrom(at + 1, fn, within));
    return isChained(policy) ? policy[run](inner, execution) : foreign(policy, inner, execution);
  }

  #openFrom<T>(at: number, open: Opening<T>, execution: Execution): Promise<OpenStream<T>> {
    const policy = this.#policies[at];
    if (policy === undefined) return open(execution);
    const inner = (context: Partial<ExecutionContext> | undefined) =>
      inside(context, execution, (within) => this.#openFrom(at + 1, open, within));
    if (watchesStreams(policy)) return policy[runStream](inner, execution);
    if (!isChained(policy) && role in policy)
      throw new RangeError(`pipeline: the ${policy[role]} is of another copy of this package, which cannot watch a stream`);
    return isChained(policy) ? policy[run](inner, execution) : foreign(policy, inner, execution);
  }
}

/** Goes on with the execution that the policy outside hands inwards; a foreign one hands a signal, or nothing. */
function inside<T>(
  context: Partial<ExecutionContext> | undefined,
  outer: Execution,
  start: (execution: Execution) => Promise<T>,
): Promise<T> {
  if (context instanceof Execution) return start(context);
  const signal = context?.signal;
  return signal === undefined ? start(outer) : underSignal(signal, start, outer);
}

function watchesStreams(policy: Policy): policy is Policy & StreamPolicy {
  return runStream in policy;
}

function isChained(policy: Policy): policy is ChainedPolicy {
  return run in policy;
}

/** Runs another library's policy so that what it throws at once is a rejection too. */
async function foreign<T>(policy: Policy, fn: (context: PolicyContext) => Promise<T>, execution: Execution): Promise<T> {
  return policy.execute(fn, { signal: execution.signal });
}
