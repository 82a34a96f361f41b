import { kind, kindOf, refusal } from '../errors.ts';

/** No breaker was made: the registry is full of circuits that are open or held by hand, and forgetting one would admit its calls. */
export class RegistryFullError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'RegistryFullError';
  /** Stable, for programs. */
  readonly code = 'ERR_REGISTRY_FULL';
  /** The limit that refused. */
  readonly limit = 'maxBreakers';
  /** When one of the breakers looked at may be removed, in ms from now; absent where all of them are held by hand. */
  declare readonly retryAfterMs?: number;
  /** @internal */
  readonly [kind] = 'registry-full';
  /** @internal */
  readonly [refusal] = true;

  constructor(maxBreakers: number, retryAfterMs: number | undefined) {
    super(`no room for another breaker: ${maxBreakers} circuits are open or held by hand`);
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }
}

/** Whether `error` is a {@link RegistryFullError}, also one of another copy of this package. */
export function isRegistryFullError(error: unknown): error is RegistryFullError {
  return kindOf(error) === 'registry-full';
}
