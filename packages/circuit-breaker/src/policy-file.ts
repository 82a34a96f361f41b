import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { CircuitBreaker } from './circuit-breaker.ts';
import { type Clock, systemClock } from './clock.ts';
import { Listeners } from './events.ts';
import { longestTimerMs, onlyKnown, wholeNumber } from './options.ts';
import type { FollowedPolicy } from './policy-file/followed-policy.ts';
import { codeOptions, NamedPolicy, type PolicyCode, type Surroundings } from './policy-file/named-policy.ts';
import { PolicyFileError } from './policy-file/policy-file-error.ts';
import { FilePoll } from './policy-file/policy-file-poll.ts';
import { type Policies, parsePolicies, readBytes, readBytesNow } from './policy-file/policy-file-text.ts';
import { breakerSettings } from './settings.ts';

export type { FollowedPolicy } from './policy-file/followed-policy.ts';
export type { PolicyCode } from './policy-file/named-policy.ts';
export { PolicyFileError, type PolicyProblem } from './policy-file/policy-file-error.ts';
export type { JsonSchema } from './policy-file/policy-file-members.ts';
export { policyFileSchema } from './policy-file/policy-file-schema.ts';

/** Where the policies of a service are, and what a file cannot hold of them. */
export interface PolicyFileOptions {
  /** The file, relative to the folder the process was started in. @defaultValue `'configs/retry_policy.json'` */
  readonly path?: string;
  /** Functions, in the shape of the file; a name inherits from `defaults` option by option. */
  readonly code?: {
    /** For every name. */
    readonly defaults?: PolicyCode;
    /** By name; each must be in the file. */
    readonly policies?: Readonly<Record<string, PolicyCode>>;
  };
  /** Whether the file is looked at while the service runs. @defaultValue `true` */
  readonly watch?: boolean;
  /** How often it is looked at, in ms. @defaultValue `1_000` */
  readonly pollIntervalMs?: number;
  /** Where time comes from, for every policy and for looking at the file. */
  readonly clock?: Clock;
  /** Where chance comes from: numbers from 0 up to 1. */
  readonly random?: () => number;
}

/** What a {@link PolicyFile} tells its listeners. */
export interface PolicyFileEvents {
  /** The file was read anew and holds. */
  reloaded: {
    /** The names whose policy is another one now, added or gone; none where only the text changed. */
    readonly changed: readonly string[];
  };
  /** The file is wrong or gone: the policies read before stay. Told once for the same error, until the file holds again. */
  refused: {
    /** What is wrong with it. */
    readonly error: PolicyFileError;
  };
  /** A listener threw. */
  'listener-error': {
    /** What it threw. */
    readonly error: unknown;
  };
}

/**
 * The policies of a service by name (retries, breakers, bulkheads, time limits), as a file says and as it changes.
 *
 * Reads the file at once. A change is taken as a whole or not at all; counts, states and windows of the breakers stay, and a
 * retry or a time limit under way ends as it began.
 *
 * @throws {@link PolicyFileError} (`ERR_POLICY_FILE`) with everything that is wrong with the file.
 * @throws RangeError for options that are wrong.
 * @example
 * const policies = new PolicyFile({ code: { policies: { anthropic: { circuitBreaker: { classify } } } } });
 * const answer = await policies.pipeline('anthropic').execute(({ signal }) => ask('hello', signal));
 */
export class PolicyFile {
  /** The file, absolute. */
  readonly path: string;
  readonly #options: PolicyFileOptions;
  readonly #around: Surroundings;
  readonly #given = new Map<string, NamedPolicy>();
  readonly #listeners = new Listeners<PolicyFileEvents>();
  readonly #poll: FilePoll | undefined;
  #policies: Policies;
  #bytes: Uint8Array;
  #refused: string | undefined;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(options: PolicyFileOptions = {}) {
    onlyKnown('PolicyFile', options, ['path', 'code', 'watch', 'pollIntervalMs', 'clock', 'random']);
    const { path = 'configs/retry_policy.json', watch = true, pollIntervalMs = 1_000, clock = systemClock, random = Math.random } = options;
    wholeNumber('pollIntervalMs', pollIntervalMs, 1, longestTimerMs);
    this.path = resolve(path);
    this.#options = options;
    this.#around = { clock, random };
    this.#bytes = readBytesNow(this.path);
    this.#policies = parsePolicies(this.#bytes, this.path);
    this.#checkCode();
    this.#poll = watch ? new FilePoll(this.path, clock, pollIntervalMs, () => this.#look()) : undefined;
  }

  /** The names in the file. */
  get names(): readonly string[] {
    return [...this.#policies.keys()];
  }

  /**
   * The breaker of that name, always the same one. Where the file loses the name or its breaker, it goes on as it was.
   *
   * @throws RangeError for a name that the file does not have, or that has no `circuitBreaker`.
   */
  breaker(name: string): CircuitBreaker {
    return this.#named(name).breaker;
  }

  /**
   * The retry of that name, always the same object. Where the file loses the name or its retry, it goes on as it was.
   *
   * @throws RangeError for a name that the file does not have, or that has no `retry`.
   */
  retry(name: string): FollowedPolicy {
    return this.#named(name).retry;
  }

  /**
   * Retry, breaker, bulkhead and timeout of that name around each other, those of them that the file has; always the same
   * object. The breaker is the one of {@link PolicyFile.breaker}.
   *
   * @throws RangeError for a name that the file does not have.
   */
  pipeline(name: string): FollowedPolicy {
    return this.#named(name).pipeline;
  }

  /** Calls `listener` at each event of that name; the returned function removes it. A listener that throws changes nothing. */
  on<E extends keyof PolicyFileEvents>(event: E, listener: (event: PolicyFileEvents[E]) => void): () => void {
    return this.#listeners.add(event, listener);
  }

  /**
   * Reads the file now, as at a signal where nobody watches it. Resolves with the names that changed.
   *
   * @throws {@link PolicyFileError} where the file is refused; the policies read before stay.
   */
  reload(): Promise<readonly string[]> {
    // one after the other, so that an earlier reading never replaces a later one
    const next = this.#reading.then(() => this.#read());
    this.#reading = next.catch(() => undefined);
    return next;
  }

  /** Looks at the file no longer; the policies go on as they are. */
  async close(): Promise<void> {
    this.#poll?.close();
    await this.#reading;
  }

  /** As {@link PolicyFile.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #look(): Promise<void> {
    await this.reload().catch(() => undefined); // listeners were told
  }

  async #read(): Promise<readonly string[]> {
    try {
      const bytes = await readBytes(this.path);
      if (this.#refused === undefined && Buffer.compare(bytes, this.#bytes) === 0) return [];
      const policies = parsePolicies(bytes, this.path);
      this.#bytes = bytes;
      return this.#take(policies);
    } catch (error) {
      if (error instanceof PolicyFileError) this.#refuse(error);
      throw error;
    }
  }

  #take(policies: Policies): readonly string[] {
    const before = this.#policies;
    const names = [...new Set([...before.keys(), ...policies.keys()])];
    const changed = names.filter((name) => !isDeepStrictEqual(before.get(name), policies.get(name)));
    this.#policies = policies;
    this.#refused = undefined;
    for (const name of changed) {
      const settings = policies.get(name);
      if (settings !== undefined) this.#given.get(name)?.follow(settings);
    }
    this.#listeners.emit('reloaded', { changed });
    return changed;
  }

  #refuse(error: PolicyFileError): void {
    if (this.#refused === error.message) return;
    this.#refused = error.message;
    this.#listeners.emit('refused', { error });
  }

  #named(name: string): NamedPolicy {
    const given = this.#given.get(name);
    if (given !== undefined) return given;
    const settings = this.#policies.get(name);
    if (settings === undefined) throw new RangeError(`${this.path} has no policy '${name}'; it has ${listed(this.names)}`);
    const named = new NamedPolicy(name, settings, this.#codeOf(name), this.#around);
    this.#given.set(name, named);
    return named;
  }

  #codeOf(name: string): PolicyCode {
    const { defaults = {}, policies = {} } = this.#options.code ?? {};
    const own = Object.hasOwn(policies, name) ? policies[name] : undefined;
    return {
      retry: { ...defaults.retry, ...own?.retry },
      circuitBreaker: { ...defaults.circuitBreaker, ...own?.circuitBreaker },
    };
  }

  /** A misspelt name or option would silently be the default. */
  #checkCode(): void {
    const { code = {} } = this.#options;
    onlyKnown('code', code, ['defaults', 'policies']);
    const all = Object.entries(code.policies ?? {}).map(([name, own]) => [`code.policies.${name}`, own] as const);
    for (const name of Object.keys(code.policies ?? {})) {
      if (!this.#policies.has(name))
        throw new RangeError(`code.policies: ${this.path} has no policy '${name}'; it has ${listed(this.names)}`);
    }
    for (const [where, own] of [['code.defaults', code.defaults ?? {}] as const, ...all]) {
      onlyKnown(where, own, Object.keys(codeOptions));
      for (const [part, options] of Object.entries(codeOptions))
        onlyKnown(`${where}.${part}`, own[part as keyof PolicyCode] ?? {}, options);
      breakerSettings({ ...own.circuitBreaker });
    }
  }
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.map((name) => `'${name}'`).join(', ');
}
