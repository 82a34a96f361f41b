import type { AuthOptions, StoredOAuthClientInformation, StoredOAuthTokens } from '@modelcontextprotocol/client';
import type { Owner } from '../call.ts';
import type { OAuthConfig } from '../gateway-config.ts';
import { sdk } from './sdk.ts';
import { SignInFlow } from './sign-in-flow.ts';
import { type PendingSignIn, SignInRequiredError } from './sign-in-required.ts';

/** What a server says when it refuses a request for lack of credentials (RFC 6750, section 3). */
export interface Challenge {
  readonly status: number;
  readonly wwwAuthenticate: string;
}

/** A server whose callers sign in. */
export interface OAuthServer {
  /** The configured name. */
  readonly name: string;
  /** The address of its endpoint: what the tokens are for. */
  readonly url: URL;
  readonly config: OAuthConfig;
  /** As whom the gateway is registered, by issuer: the same for all callers. */
  readonly registrations: Map<string, StoredOAuthClientInformation>;
  /** Reaches the addresses that the server names. */
  readonly fetch: typeof fetch;
}

/** The credentials with which one caller's requests go to one server, in memory only. */
export class Credential {
  readonly server: OAuthServer;
  readonly owner: Owner;
  readonly #pending: (credential: Credential) => PendingSignIn;
  readonly #listeners = new Set<() => void>();
  #tokens: StoredOAuthTokens | undefined;
  #refreshing: Promise<boolean> | undefined;
  /** What the server has asked for and nobody has gone through yet. */
  #wanted: { readonly scope: string | undefined; readonly resourceMetadataUrl: URL | undefined } | undefined;
  /** The sign-in that brought the tokens. */
  #flow: SignInFlow | undefined;

  constructor(server: OAuthServer, owner: Owner, pending: (credential: Credential) => PendingSignIn) {
    this.server = server;
    this.owner = owner;
    this.#pending = pending;
  }

  /** The `authorization` header of requests to the server, once there is one. */
  get header(): string | undefined {
    return this.#tokens && `Bearer ${this.#tokens.access_token}`;
  }

  /** Whether there is nothing to go through at the moment. */
  get signedIn(): boolean {
    return this.#tokens !== undefined && this.#wanted === undefined;
  }

  /** Calls `listener` each time its caller has signed in; the returned function removes it. */
  onSignedIn(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The server has refused a request that was sent with the header `sent`. True where it may be sent again, with another header;
   * false where no credentials would help.
   *
   * @throws {@link SignInRequiredError} where a person has to act.
   */
  async refused(sent: string | undefined, { status, wwwAuthenticate }: Challenge): Promise<boolean> {
    const { computeScopeUnion, extractWWWAuthenticateParams, isStrictScopeSuperset } = await sdk();
    if (this.header !== sent) return true; // somebody has signed in meanwhile
    const response = new Response(null, { status, headers: { 'www-authenticate': wwwAuthenticate } });
    const { resourceMetadataUrl, scope, error } = extractWWWAuthenticateParams(response);
    const requested = this.#flow?.requestedScope;
    if (status === 403) {
      // asking again for what has been asked for already would go on for ever
      if (sent === undefined || error !== 'insufficient_scope' || !isStrictScopeSuperset(scope, requested)) return false;
      const all = computeScopeUnion(requested, this.#tokens?.scope, scope);
      this.#wanted = { scope: all, resourceMetadataUrl };
    } else {
      if (await this.#refresh(resourceMetadataUrl)) return true;
      this.#tokens = undefined;
      this.#wanted = { scope: scope ?? this.#wanted?.scope, resourceMetadataUrl };
    }
    throw this.required();
  }

  /** The error that says what has to be done. */
  required(): SignInRequiredError {
    return new SignInRequiredError(this.server.name, this.#pending(this));
  }

  /** Begins a sign-in; the flow then knows where to send the person. */
  async begin(redirectUrl: string, clientMetadataUrl: string | undefined): Promise<SignInFlow> {
    const flow = new SignInFlow(this.server, { redirectUrl, clientMetadataUrl });
    const { scope, resourceMetadataUrl } = this.#wanted ?? {};
    await this.#authorize(flow, { ...(scope !== undefined && { scope }), ...(resourceMetadataUrl && { resourceMetadataUrl }) });
    return flow;
  }

  /** Exchanges what the authorization server has sent back for tokens. */
  async complete(flow: SignInFlow, authorizationCode: string, iss: string | undefined): Promise<void> {
    await this.#authorize(flow, { authorizationCode, ...(iss !== undefined && { iss }) });
    this.#tokens = flow.tokens();
    this.#flow = flow;
    this.#wanted = undefined;
    for (const listener of [...this.#listeners]) listener();
  }

  async #authorize(flow: SignInFlow, options: Omit<AuthOptions, 'serverUrl' | 'fetchFn'>): Promise<void> {
    const { auth } = await sdk();
    await auth(flow, { ...options, serverUrl: this.server.url, fetchFn: this.server.fetch });
  }

  /** Gets a new access token without anybody's help; false where that cannot be. */
  #refresh(resourceMetadataUrl: URL | undefined): Promise<boolean> {
    if (this.#tokens?.refresh_token === undefined || this.#flow === undefined) return Promise.resolve(false);
    this.#refreshing ??= this.#refreshOnce(this.#tokens, this.#flow, resourceMetadataUrl).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refreshOnce(tokens: StoredOAuthTokens, { redirectUrl }: SignInFlow, resourceMetadataUrl: URL | undefined): Promise<boolean> {
    const flow = new SignInFlow(this.server, { redirectUrl, tokens });
    try {
      await this.#authorize(flow, resourceMetadataUrl ? { resourceMetadataUrl } : {});
    } catch {
      return false; // whatever it was, a person's sign-in is what helps
    }
    this.#tokens = flow.tokens();
    return true;
  }
}
