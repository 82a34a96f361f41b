import { begin, type ChainedPolicy, type ExecuteOptions, type Execution, type Policy, type Protected, run } from '../execution.ts';
import { type PolicyRole, role } from '../policy-role.ts';
import { type Opening, type OpenStream, opened, ProtectedIterator, type ProtectedStream, runStream, type StreamPolicy } from '../stream.ts';

/** A policy whose settings follow a file. A run ends under the settings it began with. */
export class FollowedPolicy implements Policy {
  /** @internal */
  readonly [role]: PolicyRole | undefined;
  #current: ChainedPolicy;

  /** @internal */
  constructor(current: ChainedPolicy) {
    this.#current = current;
    this[role] = (current as { readonly [role]?: PolicyRole })[role];
  }

  /** @internal */
  follow(next: ChainedPolicy): void {
    this.#current = next;
  }

  /** Runs `fn` under the settings of this moment. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    return begin(options, (execution) => this[run](fn, execution));
  }

  /** Opens a stream under the settings of the moment at which its first item is asked for, which it keeps to its end. */
  executeStream<T>(fn: ProtectedStream<T>, options?: ExecuteOptions): AsyncIterableIterator<T> {
    return new ProtectedIterator((execution) => this[runStream]((inner) => opened(fn, inner), execution), options);
  }

  /** @internal */
  [runStream]<T>(open: Opening<T>, execution: Execution): Promise<OpenStream<T>> {
    const current: ChainedPolicy & Partial<StreamPolicy> = this.#current;
    return current[runStream]?.(open, execution) ?? current[run]((within) => open(within as Execution), execution);
  }

  /** @internal */
  [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    return this.#current[run](fn, execution);
  }
}
