/** What a protected function is called with. */
export interface ExecutionContext {
  /** Aborted when the caller's own signal is, or when a time limit around the function runs out. Made only when read. */
  readonly signal: AbortSignal;
  /**
   * Stops the clocks of all time limits around the function, as while a person is asked, until the returned function is
   * called.
   */
  readonly suspendTimeouts: () => () => void;
  /** Which of the hedged attempts this is: 0 for the first call, 1 for the first hedge; 0 where nothing is hedged. */
  readonly hedge: number;
}

/** What any policy hands inwards, another library's too. */
export type PolicyContext = Pick<ExecutionContext, 'signal'> & Partial<ExecutionContext>;

/** How one execution is called off from outside. */
export interface ExecuteOptions {
  /** Ends the execution: it rejects with the signal's reason at once, whether or not the function listens. */
  readonly signal?: AbortSignal | undefined;
}

/** A function under protection. */
export type Protected<T> = (context: ExecutionContext) => T | PromiseLike<T>;

/** Anything that runs a function: a breaker, a policy of this package, or another library's object of this shape. */
export interface Policy {
  /** Runs `fn` and passes on what comes of it; an abort of `options.signal` ends the run. */
  execute<T>(fn: (context: PolicyContext) => T | PromiseLike<T>, options?: ExecuteOptions): Promise<T>;
}

/** The method by which policies of this package hand one lazy {@link Execution} to the next. */
export const run = Symbol('run');

/**
 * A policy that takes part in a chain without forcing an AbortSignal into being.
 *
 * @internal
 */
export interface ChainedPolicy extends Policy {
  [run]<T>(fn: Protected<T>, execution: Execution): Promise<T>;
}

/** A clock that stands still while somebody is asked. */
export interface Pausable {
  pause(): void;
  resume(): void;
}

/**
 * One run of a function, or one part of it with a limit of its own. A cancellation token whose `AbortSignal` is made
 * when somebody reads it: an AbortController costs twenty times what the rest of a call does.
 */
export class Execution implements ExecutionContext {
  readonly hedge: number;
  /** The retry budget that this execution's first call was paid into, here or further out. */
  paidInto: object | undefined;
  readonly #parent: Execution | undefined;
  readonly #limit: Pausable | undefined;
  #controller: AbortController | undefined;
  #hooks: Array<(reason: unknown) => void> | undefined;
  #aborted = false;
  #reason: unknown;

  /** `parent` is the execution around this one, `limit` the time limit that sets this one apart from it, or the hedge. */
  constructor(parent?: Execution, limit?: Pausable, hedge: number = parent?.hedge ?? 0) {
    this.#parent = parent;
    this.#limit = limit;
    this.hedge = hedge;
    this.paidInto = parent?.paidInto;
  }

  get suspendTimeouts(): () => () => void {
    return () => this.#suspend();
  }

  #suspend(): () => void {
    const around = this.#parent?.suspendTimeouts();
    this.#limit?.pause();
    let suspended = true;
    return () => {
      if (!suspended) return;
      suspended = false;
      this.#limit?.resume();
      around?.();
    };
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Whether the execution was called off. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Throws the reason if the execution was called off. */
  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const hooks = this.#hooks;
    this.#hooks = undefined;
    if (hooks !== undefined) for (const hook of hooks) hook(reason);
    this.#controller?.abort(reason);
  }

  /** Calls `hook` when the execution is called off. */
  onAbort(hook: (reason: unknown) => void): void {
    this.#hooks ??= [];
    this.#hooks.push(hook);
  }

  offAbort(hook: (reason: unknown) => void): void {
    const hooks = this.#hooks;
    if (hooks === undefined) return;
    if (hooks[hooks.length - 1] === hook)
      hooks.pop(); // policies end in the order opposite to that in which they began
    else if (hooks.includes(hook)) hooks.splice(hooks.indexOf(hook), 1);
  }
}

/** Calls `fn`; what it throws at once is a rejection too. */
export function result<T>(fn: Protected<T>, execution: Execution): Promise<T> {
  try {
    const value = fn(execution);
    return value instanceof Promise ? value : Promise.resolve(value);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Runs `start` under the caller's signal: one listener, removed when the run ends; an abort rejects with its reason at once. */
export function underSignal<T>(signal: AbortSignal, start: (execution: Execution) => Promise<T>, parent?: Execution): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise<T>((resolve, reject) => {
    const execution = new Execution(parent);
    const onAbort = () => {
      reject(signal.reason);
      execution.abort(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    start(execution).then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      },
      (error) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}

/** Runs `start` as a caller of `execute` asks: under the signal if there is one. */
export function begin<T>(options: ExecuteOptions | undefined, start: (execution: Execution) => Promise<T>): Promise<T> {
  const signal = options?.signal;
  return signal === undefined ? start(new Execution()) : underSignal(signal, start);
}

/** What comes of `promise`, or the reason as soon as the execution is called off. */
export function untilAborted<T>(promise: Promise<T>, execution: Execution): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    execution.onAbort(reject);
    promise.then(
      (value) => {
        execution.offAbort(reject);
        resolve(value);
      },
      (error) => {
        execution.offAbort(reject);
        reject(error);
      },
    );
    execution.throwIfAborted(); // it may have been called off by what made the promise
  });
}
