import { isDeepStrictEqual } from 'node:util';
import { CircuitBreaker } from '../circuit-breaker.ts';
import type { Clock } from '../clock.ts';
import type { Policy } from '../execution.ts';
import { type Bulkhead, type BulkheadOptions, bulkhead } from '../policies/bulkhead.ts';
import { pipeline } from '../policies/pipeline.ts';
import { type Retry, retry } from '../policies/retry.ts';
import type { RetryOptions } from '../policies/retry-settings.ts';
import { type Timeout, type TimeoutOptions, timeout } from '../policies/timeout.ts';
import type { CircuitBreakerOptions } from '../settings.ts';
import { FollowedPolicy } from './followed-policy.ts';
import type { PartName, PolicySettings } from './policy-file-members.ts';

/** What a file cannot hold of one policy: functions, and what policies share. */
export interface PolicyCode {
  /** Of the retry. */
  readonly retry?: Pick<RetryOptions, 'retryIf' | 'classify' | 'budget'>;
  /** Of the breaker. */
  readonly circuitBreaker?: Pick<CircuitBreakerOptions, 'classify'>;
}

/** Where time and chance come from. */
export interface Surroundings {
  readonly clock: Clock;
  readonly random: () => number;
}

/** The options of {@link PolicyCode}, by part. */
export const codeOptions: Readonly<Record<keyof PolicyCode, readonly string[]>> = {
  retry: ['retryIf', 'classify', 'budget'],
  circuitBreaker: ['classify'],
};

/** The objects of one name: each is made when first asked for, stays the same and follows the file. */
export class NamedPolicy {
  readonly #name: string;
  readonly #code: PolicyCode;
  readonly #around: Surroundings;
  #settings: PolicySettings;
  #breaker: CircuitBreaker | undefined;
  #retry: FollowedPolicy | undefined;
  #pipeline: FollowedPolicy | undefined;
  #bulkhead: Bulkhead | undefined;

  constructor(name: string, settings: PolicySettings, code: PolicyCode, around: Surroundings) {
    this.#name = name;
    this.#settings = settings;
    this.#code = code;
    this.#around = around;
  }

  /** Throws where the file has no such part and nobody has asked for it while it had. */
  get breaker(): CircuitBreaker {
    this.#breaker ??= new CircuitBreaker(this.#breakerOptions());
    return this.#breaker;
  }

  get retry(): FollowedPolicy {
    this.#retry ??= new FollowedPolicy(this.#madeRetry());
    return this.#retry;
  }

  get pipeline(): FollowedPolicy {
    this.#pipeline ??= new FollowedPolicy(this.#madePipeline());
    return this.#pipeline;
  }

  /** Takes new settings; what they no longer mention keeps what it had. */
  follow(settings: PolicySettings): void {
    const changed = (part: PartName) => settings[part] !== undefined && !isDeepStrictEqual(settings[part], this.#settings[part]);
    const [newBreaker, newRetry] = [changed('circuitBreaker'), changed('retry')];
    if (changed('bulkhead')) this.#bulkhead = undefined; // the calls inside the old one end there
    this.#settings = settings;
    if (newBreaker) this.#breaker?.reconfigure(this.#breakerOptions());
    if (newRetry) this.#retry?.follow(this.#madeRetry());
    this.#pipeline?.follow(this.#madePipeline());
  }

  /** The outermost first; each part only where the file has it. */
  #madePipeline() {
    const policies: Record<PartName, () => Policy> = {
      retry: () => this.#madeRetry(),
      circuitBreaker: () => this.breaker,
      bulkhead: () => this.#keptBulkhead(),
      timeout: () => this.#madeTimeout(),
    };
    const order: readonly PartName[] = ['retry', 'circuitBreaker', 'bulkhead', 'timeout'];
    return pipeline(...order.filter((part) => this.#settings[part] !== undefined).map((part) => policies[part]()));
  }

  #breakerOptions(): CircuitBreakerOptions {
    return { ...this.#part('circuitBreaker'), ...this.#code.circuitBreaker, ...this.#around, name: this.#name };
  }

  #madeRetry(): Retry {
    return retry({ ...this.#part('retry'), ...this.#code.retry, ...this.#around });
  }

  #keptBulkhead(): Bulkhead {
    const { clock } = this.#around;
    this.#bulkhead ??= bulkhead({ ...(this.#part('bulkhead') as unknown as BulkheadOptions), name: this.#name, clock });
    return this.#bulkhead;
  }

  #madeTimeout(): Timeout {
    const { clock } = this.#around;
    return timeout({ ...(this.#part('timeout') as unknown as TimeoutOptions), clock });
  }

  #part(part: PartName) {
    const options = this.#settings[part];
    if (options !== undefined) return options;
    throw new RangeError(`policy '${this.#name}' has no ${part}; "${part}": {} in the file is one with the defaults of the package`);
  }
}
