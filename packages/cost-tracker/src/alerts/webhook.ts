import { Webhook } from 'standardwebhooks';
import type { Clock } from '../cost-tracker.ts';
import { checkKeys, checkMethods, checkText } from '../options.ts';
import type { BudgetAlert } from './alert.ts';
import { systemClock } from './clock.ts';
import { checkAddress, postAlert } from './post.ts';
import type { AlertSink } from './sink.ts';

/** Where a webhook goes, and what it is signed with. */
export interface WebhookSinkOptions {
  /** Its address: https, or http on this machine. Nothing follows a redirect to another. */
  url: string;
  /** The secret that the receiver has too: 24 to 64 bytes in base64, with `whsec_` before them or without. */
  secret: string;
  /** See {@link AlertSink.name}. @defaultValue `'webhook'` */
  name?: string;
  /** What requests are made with. @defaultValue the global `fetch` */
  fetch?: typeof fetch;
  /** Where the time of the signature comes from. @defaultValue the system's clock */
  clock?: Clock;
}

const KEYS = ['url', 'secret', 'name', 'fetch', 'clock'];

/**
 * Tells of budgets by HTTP, signed as Standard Webhooks describes, so that a receiver verifies it with any library of that standard
 * and drops repetitions by the header `webhook-id`.
 *
 * The body is `{ type, timestamp, data }`: `type` is `budget.warning`, `budget.critical` or `budget.blocked`, `timestamp` when the
 * threshold was crossed, `data` a {@link BudgetAlert} without its `id`, `level` included. Any 2xx means told. 408, 429, 5xx and no answer
 * are tried again, not before `Retry-After`; every other answer is permanent.
 *
 * @throws RangeError for an option that is unknown or out of range; it shows neither address nor secret
 */
export function webhookSink(options: WebhookSinkOptions): AlertSink {
  checkKeys(options, KEYS, 'webhookSink options');
  const url = checkAddress(options.url, 'webhookSink options.url');
  const signer = new Webhook(checkSecret(options.secret, 'webhookSink options.secret'));
  const name = checkText(options.name ?? 'webhook', 'webhookSink options.name');
  const send = checkFetch(options.fetch, 'webhookSink options.fetch');
  const clock = checkMethods(options.clock ?? systemClock, ['wall'], 'webhookSink options.clock');
  return {
    name,
    send: (alert, { signal }) => {
      const body = bodyOf(alert);
      const at = new Date(clock.wall());
      const headers = {
        'content-type': 'application/json',
        'webhook-id': alert.id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
        'webhook-signature': signer.sign(alert.id, at, body),
      };
      return postAlert(send, { sink: name, url, headers, body, signal }, () => clock.wall());
    },
  };
}

/** What requests are made with; the global function is looked up at each, so that one that is replaced later is used. */
export function checkFetch(given: unknown, name: string): typeof fetch {
  if (given === undefined) return (...request) => fetch(...request);
  if (typeof given === 'function') return given as typeof fetch;
  throw new RangeError(`${name} must be a function, not ${String(given)}`);
}

function bodyOf({ id: _, ...alert }: BudgetAlert): string {
  return JSON.stringify({ type: `budget.${alert.level}`, timestamp: alert.crossedAt, data: alert });
}

function checkSecret(secret: unknown, name: string): string {
  const base64 = typeof secret === 'string' ? secret.replace(/^whsec_/, '') : '';
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length >= 24 && bytes.length <= 64 && bytes.toString('base64') === base64) return base64;
  throw new RangeError(`${name} must be 24 to 64 bytes in base64, with whsec_ before them or without`);
}
