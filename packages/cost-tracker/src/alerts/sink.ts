import { checkKeys, checkNumber } from '../options.ts';
import type { BudgetAlert } from './alert.ts';

// Registered, so that the guard recognises errors of another copy of this package in the same process.
const kind = Symbol.for('tidegate.error');

/** What a sink is given beside the alert. */
export interface SendOptions {
  /** Aborts when the time for the attempt is over, or nobody wants it any more. */
  readonly signal: AbortSignal;
}

/** Whom budgets' alerts are told to. */
export interface AlertSink {
  /**
   * Under which the store remembers what it was told: the same after a restart, and another for every other sink. A sink with a new
   * name is told of every crossing of the periods that are current.
   */
  readonly name: string;
  /**
   * Resolves once the receiver has the alert. Whatever it rejects with, the alert is sent again later, unless it is an
   * {@link AlertSinkError} that is permanent.
   */
  send(alert: BudgetAlert, options: SendOptions): Promise<void>;
}

/** How an attempt failed. */
export interface AlertSinkErrorOptions {
  /** Whether no repetition will change it: the alert is given up then. @defaultValue `false` */
  permanent?: boolean;
  /** How long the receiver asked to be left alone, in milliseconds, at least 0. @defaultValue as the sender sees fit */
  retryAfterMs?: number | undefined;
}

/** A sink has not taken an alert. The message has no address and no secret in it. */
export class AlertSinkError extends Error {
  /** The class's name, also after minification. */
  override readonly name = 'AlertSinkError';
  /** Always the same, for programs. */
  readonly code = 'ERR_ALERT_SINK';
  /** Whether no repetition will change it. */
  readonly permanent: boolean;
  /** How long the receiver asked to be left alone, in milliseconds. */
  readonly retryAfterMs?: number;
  /** @internal */
  readonly [kind] = 'alert-sink';

  /** For sinks of your own. @throws RangeError for an option that is unknown or out of range */
  constructor(message: string, options: AlertSinkErrorOptions = {}) {
    checkKeys(options, ['permanent', 'retryAfterMs'], 'AlertSinkError options');
    super(message);
    this.permanent = options.permanent === true;
    if (options.retryAfterMs === undefined) return;
    this.retryAfterMs = checkNumber(options.retryAfterMs, 0, Number.MAX_VALUE, 'AlertSinkError options.retryAfterMs');
  }
}

/** Whether `error` is an {@link AlertSinkError}, also one of another copy of this package. */
export function isAlertSinkError(error: unknown): error is AlertSinkError {
  return typeof error === 'object' && error !== null && (error as { [kind]?: unknown })[kind] === 'alert-sink';
}
