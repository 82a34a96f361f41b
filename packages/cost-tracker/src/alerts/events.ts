import type { ListenerErrorEvent } from '../events.ts';
import type { BudgetAlert } from './alert.ts';

/** A sink has an alert. */
export interface AlertDeliveryEvent {
  /** The alert. */
  readonly alert: BudgetAlert;
  /** Name of the sink. */
  readonly sink: string;
  /** 1 for the first attempt, in whatever process. */
  readonly attempt: number;
}

/** A sink has not taken an alert, and will be given up. */
export interface AlertRefusedEvent extends AlertDeliveryEvent {
  /** Why. */
  readonly error: unknown;
}

/** A sink has not taken an alert yet. */
export interface AlertFailedEvent extends AlertRefusedEvent {
  /** Not before then will it be sent again, ISO 8601. */
  readonly retryAt: string;
}

/** The store could not say what is due, or could not be told what was sent; it is asked again later. */
export interface AlertStoreEvent {
  /** Name of the sink that it was about. */
  readonly sink: string;
  /** Why. */
  readonly error: unknown;
}

/** What alerts tell their listeners. */
export interface AlertEvents {
  /** A sink has an alert. */
  delivered: AlertDeliveryEvent;
  /** A sink has not taken an alert; it will be sent again. */
  failed: AlertFailedEvent;
  /** An alert is given up: its sink said that no repetition will change it, or its period ended a day ago. */
  'dead-letter': AlertRefusedEvent;
  /** The store failed. */
  'store-failed': AlertStoreEvent;
  /** A listener threw; the others were still told. */
  'listener-error': ListenerErrorEvent;
}
