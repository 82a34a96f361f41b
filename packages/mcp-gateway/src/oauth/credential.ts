import type { StoredOAuthClientInformation, StoredOAuthTokens } from '@modelcontextprotocol/client';
import type { Owner } from '../call.ts';
import type { OAuthConfig } from '../gateway-config.ts';
import { isInternal, type OutboundFetch } from './outbound-fetch.ts';
import { sdk } from './sdk.ts';
import { SignInFlow } from './sign-in-flow.ts';
import { type PendingSignIn, SignInRequiredError } from './sign-in-required.ts';

/** What a server says when it refuses a request for lack of credentials (RFC 6750, section 3). */
export interface Challenge {
  readonly status: number;
  readonly wwwAuthenticate: string;
  /** The IP address that said it. */
  readonly from: string | undefined;
  /** The request carried what an earlier refusal of it had led to. */
  readonly renewed: boolean;
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
  readonly fetch: OutboundFetch;
}

/** Where callers are sent to sign in. */
export interface SignInDesk {
  /** What this caller has to go through; undefined where there is nothing any more. */
  pending(credential: Credential): PendingSignIn | undefined;
  /** Aborted when the gateway closes. */
  readonly closing: AbortSignal;
}

/** What the server has asked for and nobody has gone through yet. */
interface Wanted {
  readonly challenge: Challenge;
  /** Everything that was ever asked for, where the server wants more than before. */
  readonly scope: string | undefined;
}

/** The credentials with which one caller's requests go to one server, in memory only. */
export class Credential {
  readonly server: OAuthServer;
  readonly owner: Owner;
  readonly #desk: SignInDesk;
  readonly #listeners = new Set<() => void>();
  #tokens: StoredOAuthTokens | undefined;
  #refreshing: Promise<boolean> | undefined;
  #wanted: Wanted | undefined;
  /** The sign-in that brought the tokens. */
  #flow: SignInFlow | undefined;

  constructor(server: OAuthServer, owner: Owner, desk: SignInDesk) {
    this.server = server;
    this.owner = owner;
    this.#desk = desk;
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
  async refused(sent: string | undefined, challenge: Challenge): Promise<boolean> {
    const more = challenge.status === 403 ? await this.#scopeOf(sent, challenge) : undefined;
    if (this.#isNewerThan(sent)) return true;
    if (challenge.status === 403) {
      if (more === undefined) return false;
      this.#wanted = { challenge, scope: more };
      throw this.required();
    }
    if (!challenge.renewed && (await this.#refresh(challenge))) return true;
    if (this.#isNewerThan(sent)) return true; // somebody has signed in while that failed
    this.#tokens = undefined;
    this.#wanted = { challenge, scope: this.#wanted?.scope };
    throw this.required();
  }

  /** The error that says what has to be done. */
  required(): SignInRequiredError {
    return new SignInRequiredError(this.server.name, () => this.#desk.pending(this));
  }

  /** Begins a sign-in; the flow then knows where to send the person. */
  async begin(redirectUrl: string, clientMetadataUrl: string | undefined, signal: AbortSignal): Promise<SignInFlow> {
    const { challenge, scope } = this.#wanted ?? {};
    const internal = challenge?.from !== undefined && isInternal(challenge.from);
    const flow = new SignInFlow(this.server, { redirectUrl, clientMetadataUrl, internal });
    await flow.begin({ ...(challenge && (await asked(challenge))), ...(scope !== undefined && { scope }) }, signal);
    return flow;
  }

  /** Exchanges what the authorization server has sent back for tokens. */
  async complete(flow: SignInFlow, authorizationCode: string, iss: string | undefined, signal: AbortSignal): Promise<void> {
    this.#tokens = await flow.redeem(authorizationCode, iss, signal);
    this.#flow = flow;
    this.#wanted = undefined;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Whether requests go out with another header by now. */
  #isNewerThan(sent: string | undefined): boolean {
    return this.header !== undefined && this.header !== sent;
  }

  /** What to ask a person for, where the server wants more rights than were asked for; asking for the same again would go on for ever. */
  async #scopeOf(sent: string | undefined, challenge: Challenge): Promise<string | undefined> {
    if (sent === undefined) return undefined;
    const { computeScopeUnion, isStrictScopeSuperset } = await sdk();
    const { error, scope } = await asked(challenge);
    const requested = this.#flow?.requestedScope;
    if (error !== 'insufficient_scope' || !isStrictScopeSuperset(scope, requested)) return undefined;
    return computeScopeUnion(requested, this.#tokens?.scope, this.#wanted?.scope, scope);
  }

  /** Gets a new access token without anybody's help; false where that cannot be. */
  #refresh(challenge: Challenge): Promise<boolean> {
    const { refresh_token: refreshToken } = this.#tokens ?? {};
    if (refreshToken === undefined || this.#flow === undefined) return Promise.resolve(false);
    this.#refreshing ??= this.#refreshOnce(this.#flow, refreshToken, challenge).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refreshOnce(flow: SignInFlow, refreshToken: string, challenge: Challenge): Promise<boolean> {
    const { resourceMetadataUrl } = await asked(challenge);
    try {
      const tokens = await flow.refresh(refreshToken, resourceMetadataUrl, this.#desk.closing);
      if (this.#flow === flow) this.#tokens = tokens;
    } catch {
      return false; // whatever it was, a person's sign-in is what helps
    }
    return true;
  }
}

/** What a refusal asks for. */
async function asked({ status, wwwAuthenticate }: Challenge): Promise<{ resourceMetadataUrl?: URL; scope?: string; error?: string }> {
  const { extractWWWAuthenticateParams } = await sdk();
  return extractWWWAuthenticateParams(new Response(null, { status, headers: { 'www-authenticate': wwwAuthenticate } }));
}
