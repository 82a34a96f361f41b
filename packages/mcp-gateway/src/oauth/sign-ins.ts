import { randomBytes } from 'node:crypto';
import type { Listeners } from '../events.ts';
import type { Credential, SignInDesk } from './credential.ts';
import { sdk } from './sdk.ts';
import type { SignInFlow } from './sign-in-flow.ts';
import type { PendingSignIn } from './sign-in-required.ts';

/**
 * How long a person has for a sign-in, in ms, how long the gateway may take to talk to authorization servers in between, and how many
 * may be open at once.
 */
const bounds = { ttlMs: 10 * 60_000, talkMs: 30_000, most: 1_000 };

interface Ticket {
  readonly id: string;
  readonly credential: Credential;
  readonly waiting: Set<{ readonly resolve: () => void; readonly reject: (error: Error) => void }>;
  /** The latest run of it: an earlier one, in another window, is over. */
  run: { readonly state: string; readonly flow: SignInFlow; readonly begunAt: number } | undefined;
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
export class SignIns implements SignInDesk {
  /** Where browsers reach this gateway, once that is known. */
  publicUrl: string | undefined;
  readonly #listener: SignInListener;
  readonly #tickets = new Map<string, Ticket>();
  readonly #byCredential = new Map<Credential, Ticket>();
  readonly #closing = new AbortController();
  readonly #now: () => number;

  /** `now`: monotonic ms. */
  constructor(publicUrl: string | undefined, listener: SignInListener, now: () => number) {
    this.publicUrl = publicUrl;
    this.#listener = listener;
    this.#now = now;
  }

  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Where authorization servers send browsers back to. */
  get callbackUrl(): string {
    return `${this.publicUrl}/oauth/callback`;
  }

  /** The gateway's client metadata document, which has to have a public address. */
  get metadataUrl(): string | undefined {
    return this.publicUrl?.startsWith('https:') === true ? `${this.publicUrl}/oauth/client.json` : undefined;
  }

  /** The sign-in that this caller has to go through at this server; from now on its link is valid for ten minutes. */
  pending(credential: Credential): PendingSignIn | undefined {
    if (credential.signedIn) return undefined;
    const ticket = this.#byCredential.get(credential) ?? this.#issue(credential);
    if (ticket.ended === undefined) ticket.timer.refresh();
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
    if (ticket === undefined) throw noLongerValid();
    const { credential, run } = ticket;
    run?.flow.forgetRegistration(); // who begins again has not come back: it may be why
    const clientMetadataUrl = credential.server.config.clientMetadataUrl ?? this.metadataUrl;
    const flow = await credential.begin(this.callbackUrl, clientMetadataUrl, this.#talk()).catch((error: unknown) => {
      throw this.#failed(ticket, error);
    });
    if (ticket.ended !== undefined) throw noLongerValid();
    ticket.timer.refresh();
    ticket.run = { state: flow.state(), flow, begunAt: this.#now() };
    return { authorizationUrl: flow.authorizationUrl, state: flow.state() };
  }

  /** A person comes back. Only the browser that began can end it, and only once. */
  async finish({ query, state }: Returned): Promise<Credential> {
    const ticket = [...this.#tickets.values()].find(({ run }) => run !== undefined && run.state === query.get('state'));
    if (ticket?.run === undefined || state !== ticket.run.state || this.#now() - ticket.run.begunAt > bounds.ttlMs)
      throw new Error('no sign-in was begun in this browser, or it is over');
    const { credential, run } = ticket;
    ticket.run = undefined;
    try {
      await redeem(credential, run.flow, query, this.#talk());
    } catch (error) {
      throw this.#failed(ticket, error);
    }
    for (const done of new Set([ticket, this.#byCredential.get(credential) ?? ticket])) {
      this.#end(done, 'done');
      for (const { resolve } of [...done.waiting]) resolve();
    }
    this.#listener.done(credential);
    return credential;
  }

  /** Ends all of them. */
  close(): void {
    this.#closing.abort(new Error('the gateway is closing'));
    for (const ticket of [...this.#tickets.values()]) this.#expire(ticket, 'the gateway is closing');
  }

  /** The time for one conversation with an authorization server. */
  #talk(): AbortSignal {
    return AbortSignal.any([this.#closing.signal, AbortSignal.timeout(bounds.talkMs)]);
  }

  /** Ends the waits for a sign-in that has failed; its link may still be tried again. */
  #failed(ticket: Ticket, cause: unknown): Error {
    const error = new Error(reasonOf(cause));
    for (const { reject } of [...ticket.waiting]) reject(error);
    if (ticket.ended === undefined) this.#listener.failed(ticket.credential, error.message);
    return error;
  }

  #issue(credential: Credential): Ticket {
    const id = randomBytes(32).toString('base64url');
    const timer = setTimeout(() => this.#expire(ticket, 'it was not gone through in time'), bounds.ttlMs);
    timer.unref();
    const ticket: Ticket = { id, credential, waiting: new Set(), run: undefined, ended: undefined, timer };
    if (this.#closing.signal.aborted) {
      this.#end(ticket, this.#closing.signal.reason as Error);
      return ticket;
    }
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
    if (this.#byCredential.get(ticket.credential) === ticket) this.#byCredential.delete(ticket.credential);
  }
}

/** An answer's issuer is checked before anything else of it is believed (RFC 9207). */
async function redeem(credential: Credential, flow: SignInFlow, query: URLSearchParams, signal: AbortSignal): Promise<void> {
  const { validateAuthorizationResponseIssuer } = await sdk();
  const iss = query.get('iss') ?? undefined;
  const { issuer: expectedIssuer, issParameterSupported } = flow;
  validateAuthorizationResponseIssuer({ iss, expectedIssuer, issParameterSupported });
  const code = query.get('code');
  if (code === null) throw new Error(`the authorization server refused: ${query.get('error') ?? 'it gave no code'}`);
  await credential.complete(flow, code, iss, signal);
}

function noLongerValid(): Error {
  return new Error('the link is no longer valid');
}

/**
 * Why a sign-in failed, for logs, pages and clients: of an authorization server's answers only the error code (RFC 6749, 5.2),
 * because what else it says may repeat what it was sent.
 */
function reasonOf(cause: unknown): string {
  const { name, message, code, status } = cause as Error & { readonly code?: unknown; readonly status?: unknown };
  if (name === 'OAuthError') return plain(`the authorization server refused: ${code}`);
  if (name === 'RegistrationRejectedError') return `the authorization server did not register the gateway (HTTP ${status})`;
  if (name === 'SyntaxError' || name.endsWith('ZodError')) return 'the authorization server gave an answer that cannot be read';
  return plain(message);
}

/** What may stand in a message, shortened. */
function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200);
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
