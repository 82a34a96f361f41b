import { randomBytes } from 'node:crypto';
import type { Listeners } from '../events.ts';
import type { Credential } from './credential.ts';
import { sdk } from './sdk.ts';
import type { SignInFlow } from './sign-in-flow.ts';
import type { PendingSignIn } from './sign-in-required.ts';

/** How long a person has for a sign-in, in ms, and how many may be open at once. */
const bounds = { ttlMs: 10 * 60_000, most: 1_000 };

interface Ticket {
  readonly id: string;
  readonly credential: Credential;
  readonly waiting: Set<{ readonly resolve: () => void; readonly reject: (error: Error) => void }>;
  /** The latest run of it: an earlier one, in another window, is over. */
  run: { readonly state: string; readonly flow: SignInFlow } | undefined;
  /** How it ended, once it has. */
  ended: 'done' | Error | undefined;
  readonly timer: NodeJS.Timeout;
}

/** Where a person goes on, and what his browser has to bring back from there. */
export interface Begun {
  readonly authorizationUrl: URL;
  readonly state: string;
}

/** What an authorization server sent a browser back with. */
export interface Returned {
  readonly query: URLSearchParams;
  /** The state that this browser began with. */
  readonly state: string | undefined;
}

/** What a sign-in came to, told by its page and its events. */
export interface SignInListener {
  needed(credential: Credential): void;
  done(credential: Credential): void;
  failed(credential: Credential, reason: string): void;
}

/** Tells the gateway's listeners what becomes of sign-ins. */
export function signInEvents(events: Listeners): SignInListener {
  const about = ({ server, owner: { tenant, user } }: Credential) => ({ server: server.name, tenant, ...(user !== undefined && { user }) });
  return {
    needed: (credential) => events.emit('sign-in', { ...about(credential), state: 'needed' }),
    done: (credential) => events.emit('sign-in', { ...about(credential), state: 'done' }),
    failed: (credential, reason) => events.emit('sign-in', { ...about(credential), state: 'failed', reason }),
  };
}

/** The sign-ins that somebody still has to go through: one for each caller and server, under an address that nobody can guess. */
export class SignIns {
  /** Where browsers reach this gateway, once that is known. */
  publicUrl: string | undefined;
  readonly #listener: SignInListener;
  readonly #tickets = new Map<string, Ticket>();
  readonly #byCredential = new Map<Credential, Ticket>();

  constructor(publicUrl: string | undefined, listener: SignInListener) {
    this.publicUrl = publicUrl;
    this.#listener = listener;
  }

  /** Where authorization servers send browsers back to. */
  get callbackUrl(): string {
    return `${this.publicUrl}/oauth/callback`;
  }

  /** The gateway's client metadata document, which has to have a public address. */
  get metadataUrl(): string | undefined {
    return this.publicUrl?.startsWith('https:') === true ? `${this.publicUrl}/oauth/client.json` : undefined;
  }

  /** The sign-in that this caller has to go through at this server. */
  pending(credential: Credential): PendingSignIn {
    const ticket = this.#byCredential.get(credential) ?? this.#issue(credential);
    return {
      url: this.publicUrl && `${this.publicUrl}/oauth/start/${ticket.id}`,
      done: (signal) => wait(ticket, signal),
    };
  }

  /** Whose sign-in a link is for; undefined where it is over, or was none. */
  find(id: string): Credential | undefined {
    return this.#tickets.get(id)?.credential;
  }

  /** A person begins: asks the server who its authorization server is, and that one for a page. */
  async begin(id: string): Promise<Begun> {
    const ticket = this.#tickets.get(id);
    if (ticket === undefined) throw new Error('the link is no longer valid');
    const { config } = ticket.credential.server;
    const flow = await ticket.credential.begin(this.callbackUrl, config.clientMetadataUrl ?? this.metadataUrl);
    ticket.run = { state: flow.state(), flow };
    return { authorizationUrl: flow.authorizationUrl, state: flow.state() };
  }

  /** A person comes back. Only the browser that began can end it, and only once. */
  async finish({ query, state }: Returned): Promise<Credential> {
    const ticket = [...this.#tickets.values()].find(({ run }) => run !== undefined && run.state === query.get('state'));
    if (ticket?.run === undefined || state !== ticket.run.state) throw new Error('no sign-in was begun in this browser');
    const { credential, run } = ticket;
    ticket.run = undefined;
    try {
      await redeem(credential, run.flow, query);
    } catch (error) {
      for (const { reject } of [...ticket.waiting]) reject(error as Error);
      this.#listener.failed(credential, (error as Error).message);
      throw error;
    }
    this.#end(ticket, 'done');
    for (const { resolve } of [...ticket.waiting]) resolve();
    this.#listener.done(credential);
    return credential;
  }

  /** Ends all of them. */
  close(): void {
    for (const ticket of [...this.#tickets.values()]) this.#expire(ticket, 'the gateway is closing');
  }

  #issue(credential: Credential): Ticket {
    const id = randomBytes(32).toString('base64url');
    const timer = setTimeout(() => this.#expire(ticket, 'it was not gone through in time'), bounds.ttlMs);
    timer.unref();
    const ticket: Ticket = { id, credential, waiting: new Set(), run: undefined, ended: undefined, timer };
    this.#tickets.set(id, ticket);
    this.#byCredential.set(credential, ticket);
    const [oldest] = this.#tickets.values();
    if (oldest !== undefined && this.#tickets.size > bounds.most) this.#expire(oldest, 'too many others came after it');
    this.#listener.needed(credential);
    return ticket;
  }

  #expire(ticket: Ticket, reason: string): void {
    const error = new Error(reason);
    this.#end(ticket, error);
    for (const { reject } of [...ticket.waiting]) reject(error);
  }

  #end(ticket: Ticket, how: 'done' | Error): void {
    ticket.ended = how;
    clearTimeout(ticket.timer);
    this.#tickets.delete(ticket.id);
    this.#byCredential.delete(ticket.credential);
  }
}

/** An answer's issuer is checked before anything else of it is believed (RFC 9207). */
async function redeem(credential: Credential, flow: SignInFlow, query: URLSearchParams): Promise<void> {
  const { validateAuthorizationResponseIssuer } = await sdk();
  const iss = query.get('iss') ?? undefined;
  validateAuthorizationResponseIssuer({ iss, ...flow.issuer });
  const code = query.get('code');
  if (code === null) throw new Error(`the authorization server refused: ${plain(query.get('error') ?? 'it gave no code')}`);
  await credential.complete(flow, code, iss);
}

/** What may stand in a message: an error code by its own rules (RFC 6749, 4.1.2.1), shortened. */
function plain(error: string): string {
  return error.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 100);
}

function wait(ticket: Ticket, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ticket.ended instanceof Error) return Promise.reject(signal.aborted ? signal.reason : ticket.ended);
  if (ticket.ended === 'done') return Promise.resolve();
  return new Promise((resolve, reject) => {
    const onAbort = () => end(() => reject(signal.reason));
    const end = (settle: () => void) => {
      ticket.waiting.delete(waiter);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const waiter = { resolve: () => end(resolve), reject: (error: Error) => end(() => reject(error)) };
    ticket.waiting.add(waiter);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
