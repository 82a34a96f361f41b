import { isFor, type Owner, type Principal } from '../call.ts';
import { asText, type RequestId, type RpcNotification } from '../json-rpc.ts';
import type { Tell } from './legacy-session.ts';
import { meta, withMeta } from './modern.ts';

/** What a client wants to hear of. */
export interface Filter {
  readonly toolsListChanged?: unknown;
  readonly promptsListChanged?: unknown;
  readonly resourcesListChanged?: unknown;
  readonly resourceSubscriptions?: unknown;
}

interface Subscription {
  readonly id: RequestId;
  readonly principal: Principal;
  readonly lists: ReadonlySet<string>;
  readonly uris: ReadonlySet<string>;
  readonly tell: Tell;
  readonly end: () => void;
}

const listMembers = {
  toolsListChanged: 'notifications/tools/list_changed',
  promptsListChanged: 'notifications/prompts/list_changed',
  resourcesListChanged: 'notifications/resources/list_changed',
} as const;

/** The open `subscriptions/listen` requests. */
export class Subscriptions {
  readonly #open = new Set<Subscription>();
  readonly #changed: (principal: Principal) => Promise<void>;
  #closed = false;

  /** `changed` is told when the resources that somebody listens for have changed. */
  constructor(changed: (principal: Principal) => Promise<void>) {
    this.#changed = changed;
  }

  /** Acknowledges and keeps a subscription; resolves when the gateway ends it, rejects when the client does. */
  async listen(id: RequestId, principal: Principal, filter: Filter, tell: Tell, signal: AbortSignal): Promise<void> {
    const { resourceSubscriptions } = filter;
    const uris = Array.isArray(resourceSubscriptions) ? resourceSubscriptions.filter((uri) => typeof uri === 'string') : [];
    const members = (Object.keys(listMembers) as (keyof typeof listMembers)[]).filter((member) => filter[member] === true);
    const honoured = {
      ...Object.fromEntries(members.map((member) => [member, true])),
      ...(uris.length > 0 && { resourceSubscriptions: uris }),
    };
    const tagged: Tell = (message) => {
      if ('method' in message) tell({ ...message, params: withMeta(message.params ?? {}, { [meta.subscriptionId]: id }) });
    };
    tagged({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: { notifications: honoured } });
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const subscription = {
      id,
      principal,
      lists: new Set(members.map((member) => listMembers[member])),
      uris: new Set(uris),
      tell: tagged,
      end,
    };
    this.#open.add(subscription);
    signal.addEventListener('abort', end, { once: true });
    if (uris.length > 0) await this.#changed(principal);
    await ended;
    this.#open.delete(subscription);
    signal.removeEventListener('abort', end);
    if (uris.length > 0 && !this.#closed) await this.#changed(principal);
    signal.throwIfAborted();
  }

  *watched(owner: Owner): Iterable<string> {
    for (const { principal, uris } of this.#open) if (isFor(owner, principal)) yield* uris;
  }

  tell(hears: (principal: Principal) => boolean, notification: RpcNotification): void {
    const { method, params } = notification;
    const uri = method === 'notifications/resources/updated' ? asText(params?.['uri']) : undefined;
    for (const { principal, lists, uris, tell } of this.#open) {
      if (hears(principal) && (uri === undefined ? lists.has(method) : uris.has(uri))) tell(notification);
    }
  }

  close(): void {
    this.#closed = true;
    for (const { end } of [...this.#open]) end();
  }
}
