import type { Answer } from '../call.ts';
import type { JsonObject } from '../json-rpc.ts';
import { orAborted } from '../upstream.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { Connection, ConnectionListener, RequestOptions, ServerDescription } from '../wire/connection.ts';
import type { Credential } from './credential.ts';
import { canOpenPages, SignInRequiredError } from './sign-in-required.ts';

/** The tool that a server seems to have while its caller has to sign in. */
const signInTool = 'sign_in';

/** Opens a conversation under the credential. */
export type Open = (listener: ConnectionListener, signal: AbortSignal) => Promise<Connection>;

/**
 * Opens a conversation with a server whose callers sign in. Until this one has, the server seems to have one tool, by which a
 * model or a person gets to the sign-in; then the server's own tools take its place.
 */
export async function connectSigningIn(
  credential: Credential,
  open: Open,
  listener: ConnectionListener,
  signal: AbortSignal,
): Promise<Connection> {
  const connection = new SigningIn(credential, open, listener);
  await connection.open(signal);
  return connection;
}

/** A conversation that is being opened for all who wait for it. */
interface Opening {
  readonly connection: Promise<Connection>;
  readonly end: AbortController;
  waiting: number;
}

class SigningIn implements Connection {
  readonly #credential: Credential;
  readonly #open: Open;
  readonly #listener: ConnectionListener;
  readonly #forget: () => void;
  #inner: Connection | undefined;
  #opening: Opening | undefined;
  #closed = false;
  #watched: ReadonlySet<string> = new Set();
  /** The last list of tools was the one tool. */
  #standsIn = false;

  constructor(credential: Credential, open: Open, listener: ConnectionListener) {
    this.#credential = credential;
    this.#open = open;
    this.#listener = listener;
    this.#forget = credential.onSignedIn(() => this.#signedIn());
  }

  get description(): ServerDescription {
    // as long as nothing is known of the server it may have everything: it is asked for its lists under whichever conversation there is
    if (this.#inner === undefined) return { serverInfo: {}, capabilities: { tools: {}, resources: {}, prompts: {} } };
    const { description } = this.#inner;
    return { ...description, capabilities: { tools: {}, ...description.capabilities } };
  }

  get provisional(): boolean {
    return this.#standsIn;
  }

  get stateless(): boolean {
    return this.#inner?.stateless ?? false;
  }

  /** Fails where more than a sign-in is missing. */
  async open(signal: AbortSignal): Promise<void> {
    try {
      await this.#connected(signal);
    } catch (error) {
      if (error instanceof SignInRequiredError) return;
      this.#forget();
      throw error;
    }
  }

  async request(method: string, params: JsonObject, options: RequestOptions): Promise<Answer> {
    if (method === 'tools/call' && params['name'] === signInTool && this.#standsIn) return this.#ask(options);
    try {
      const inner = this.#inner ?? (await this.#connected(options.signal));
      const answer = await inner.request(method, params, options);
      if (method === 'tools/list') this.#standsIn = false;
      return answer;
    } catch (error) {
      const member = error instanceof SignInRequiredError && listMembers[method];
      if (typeof member !== 'string') throw error;
      if (method === 'tools/list') this.#standsIn = true;
      return { result: { [member]: method === 'tools/list' ? [offerOf(this.#credential.server.name)] : [] } };
    }
  }

  async watch(uris: ReadonlySet<string>): Promise<void> {
    this.#watched = uris;
    await this.#inner?.watch(uris);
  }

  async close(): Promise<void> {
    this.#forget();
    this.#closed = true;
    const opening = this.#opening;
    this.#end(opening, this.#disconnected());
    await opening?.connection.catch(() => {}); // its waiters are told
    await this.#inner?.close();
  }

  #signedIn(): void {
    // what the server would not tell anybody before it tells now
    this.#inner?.watch(this.#watched).catch(() => {});
    this.#listener.notification({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
  }

  /** A client that cannot be sent to a page is given its address. */
  #ask({ client }: RequestOptions): Answer {
    const { name } = this.#credential.server;
    if (this.#credential.signedIn) return text(`You are signed in to '${name}'; it has not given its tools yet.`);
    const { pending } = this.#credential.required();
    if (client !== undefined && canOpenPages(client))
      throw new SignInRequiredError(name, pending, text(`Signed in to '${name}'. Its tools are there now.`));
    const url = pending()?.url;
    if (url === undefined) throw new SignInRequiredError(name, pending);
    return text(`Sign in to '${name}' at ${url} and then go on; the tools of '${name}' are there as soon as that is done.`);
  }

  /** The conversation, opened where there is none yet; who leaves ends his own wait, and the last one the opening. */
  async #connected(signal: AbortSignal): Promise<Connection> {
    if (this.#inner !== undefined) return this.#inner;
    this.#opening ??= this.#begin();
    const opening = this.#opening;
    opening.waiting += 1;
    try {
      return await orAborted(opening.connection, signal);
    } finally {
      opening.waiting -= 1;
      if (opening.waiting === 0) this.#end(opening, new Error('nobody waits for it any more'));
    }
  }

  #begin(): Opening {
    const end = new AbortController();
    const connection = this.#open(this.#listener, end.signal).then(async (inner) => {
      if (this.#closed) {
        await inner.close();
        throw this.#disconnected();
      }
      this.#inner = inner;
      if (this.#watched.size > 0) await inner.watch(this.#watched);
      return inner;
    });
    connection.catch(() => {}); // told to those who wait, of whom there may be none by then
    return { connection, end, waiting: 0 };
  }

  #disconnected(): UpstreamError {
    return new UpstreamError(this.#credential.server.name, 'was disconnected', { carriedOut: 'no' });
  }

  #end(opening: Opening | undefined, reason: Error): void {
    if (this.#opening === opening) this.#opening = undefined;
    if (this.#inner === undefined) opening?.end.abort(reason);
  }
}

const listMembers: Readonly<Record<string, string>> = {
  'tools/list': 'tools',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
  'prompts/list': 'prompts',
};

function offerOf(server: string): JsonObject {
  return {
    name: signInTool,
    title: `Sign in to ${server}`,
    description: `'${server}' offers its tools only to users who have signed in. Call this tool to sign in; it opens the page, or gives its address for the user to open.`,
    inputSchema: { type: 'object', properties: {}, additionalProperties: false },
  };
}

function text(words: string): Answer {
  return { result: { content: [{ type: 'text', text: words }] } };
}
