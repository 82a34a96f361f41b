import { randomBytes } from 'node:crypto';
import type {
  OAuthClientInformationContext,
  OAuthClientMetadata,
  OAuthClientProvider,
  OAuthDiscoveryState,
  OAuthTokens,
  StoredOAuthClientInformation,
  StoredOAuthTokens,
} from '@modelcontextprotocol/client';
import { isLoopback } from '../access.ts';
import type { OAuthServer } from './credential.ts';
import { sdk } from './sdk.ts';

/** How a flow is gone through. */
export interface FlowOptions {
  /** Where the authorization server sends the person back to. */
  readonly redirectUrl: string;
  /** The address of the gateway's client metadata document, if it has one. */
  readonly clientMetadataUrl?: string | undefined;
  /** Whether the server is inside a private network, so that what it names may be, too. */
  readonly internal: boolean;
}

/** The most registrations that are remembered for one server: one that names ever other issuers fills no memory. */
const mostRegistrations = 100;

/** What the gateway is registered as. */
export function clientMetadata(redirectUrl: string, scopes: readonly string[] = []): OAuthClientMetadata {
  return {
    client_name: 'Tidegate',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
  };
}

/**
 * One run through the authorization code flow with PKCE (OAuth 2.1). Every run has a state, a verifier, an authorization server and
 * a registration of its own, so that runs beside each other do not mix. The protocol's OAuth client takes it up to the page where a
 * person signs in; from there on its single steps are used, because as a whole it would write to the console and send codes twice.
 */
export class SignInFlow implements OAuthClientProvider {
  readonly redirectUrl: string;
  readonly clientMetadataUrl?: string;
  readonly clientMetadata: OAuthClientMetadata;
  readonly saveClientInformation?: NonNullable<OAuthClientProvider['saveClientInformation']>;
  readonly #server: OAuthServer;
  readonly #internal: boolean;
  readonly #state = randomBytes(32).toString('base64url');
  #verifier = '';
  #client: StoredOAuthClientInformation | undefined;
  #discovery: OAuthDiscoveryState | undefined;
  #authorizationUrl: URL | undefined;

  constructor(server: OAuthServer, { redirectUrl, clientMetadataUrl, internal }: FlowOptions) {
    this.#server = server;
    this.#internal = internal;
    this.redirectUrl = redirectUrl;
    this.clientMetadata = clientMetadata(redirectUrl, server.config.scopes);
    if (clientMetadataUrl !== undefined) this.clientMetadataUrl = clientMetadataUrl;
    if (server.config.clientId === undefined) this.saveClientInformation = (information) => this.#register(information);
  }

  /** Finds the authorization server and the address to send the person to. */
  async begin(wanted: { readonly scope?: string; readonly resourceMetadataUrl?: URL }, signal: AbortSignal): Promise<void> {
    const { auth } = await sdk();
    const { scope, resourceMetadataUrl } = wanted;
    await auth(this, {
      serverUrl: this.#server.url,
      fetchFn: this.#fetch(signal),
      ...(scope !== undefined && { scope }),
      ...(resourceMetadataUrl && { resourceMetadataUrl }),
    });
  }

  /** Exchanges the code that the person has brought back for tokens. */
  async redeem(authorizationCode: string, iss: string | undefined, signal: AbortSignal): Promise<StoredOAuthTokens> {
    const { exchangeAuthorization } = await sdk();
    const { redirectUrl: redirectUri, issuer } = this;
    const { authorizationServerUrl, authorizationServerMetadata, resourceMetadata } = this.#found;
    return this.#tokensFrom(
      exchangeAuthorization(authorizationServerUrl, {
        ...(authorizationServerMetadata && { metadata: authorizationServerMetadata }),
        clientInformation: this.#registered,
        authorizationCode,
        ...(iss !== undefined && { iss }),
        codeVerifier: this.#verifier,
        redirectUri,
        ...(resourceMetadata && { resource: resourceMetadata.resource }),
        fetchFn: this.#fetch(signal),
      }),
      issuer,
    );
  }

  /** Gets new tokens from the authorization server that gave the old ones, if it still is the server's. */
  async refresh(refreshToken: string, resourceMetadataUrl: URL | undefined, signal: AbortSignal): Promise<StoredOAuthTokens> {
    const { discoverOAuthServerInfo, refreshAuthorization } = await sdk();
    const { issuer } = this;
    const fetchFn = this.#fetch(signal);
    const found = await discoverOAuthServerInfo(this.#server.url, {
      fetchFn,
      ...(resourceMetadataUrl && { resourceMetadataUrl }),
    });
    const metadata = found.authorizationServerMetadata;
    if (metadata === undefined || metadata.issuer !== issuer) throw new Error('the server has another authorization server now');
    const { resourceMetadata } = this.#found;
    return this.#tokensFrom(
      refreshAuthorization(found.authorizationServerUrl, {
        metadata,
        clientInformation: this.#registered,
        refreshToken,
        ...(resourceMetadata && { resource: resourceMetadata.resource }),
        fetchFn,
      }),
      issuer,
    );
  }

  /** Forgets as what the gateway is registered, so that the next run registers it anew. */
  forgetRegistration(): void {
    for (const [key, information] of this.#server.registrations) if (information === this.#client) this.#server.registrations.delete(key);
  }

  /** Where to send the person. */
  get authorizationUrl(): URL {
    if (this.#authorizationUrl === undefined) throw new Error('there is nowhere to sign in');
    return this.#authorizationUrl;
  }

  /** The scopes that the person was asked for. */
  get requestedScope(): string {
    return this.#authorizationUrl?.searchParams.get('scope') ?? '';
  }

  /** The authorization server's own name for itself. */
  get issuer(): string | undefined {
    return this.#discovery?.authorizationServerMetadata?.issuer;
  }

  /** Whether the authorization server says its name in its answers (RFC 9207). */
  get issParameterSupported(): boolean {
    return this.#discovery?.authorizationServerMetadata?.['authorization_response_iss_parameter_supported'] === true;
  }

  state(): string {
    return this.#state;
  }

  clientInformation(context?: OAuthClientInformationContext): StoredOAuthClientInformation | undefined {
    const { clientId, clientSecret, issuer } = this.#server.config;
    if (clientId === undefined) this.#client ??= context && this.#server.registrations.get(this.#registrationKey(context));
    else
      this.#client ??= {
        client_id: clientId,
        ...(clientSecret !== undefined && { client_secret: clientSecret }),
        ...(issuer !== undefined && { issuer }),
      };
    return this.#client;
  }

  /** None: a person signs in because there are none that help. */
  tokens(): undefined {}

  saveTokens(): void {}

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }

  discoveryState(): OAuthDiscoveryState | undefined {
    return this.#discovery;
  }

  /** PKCE is what protects the code: who does not say that it is supported is not trusted with one. */
  saveDiscoveryState(state: OAuthDiscoveryState): void {
    const metadata = state.authorizationServerMetadata;
    if (metadata === undefined) throw new Error(`${state.authorizationServerUrl} has no metadata of an authorization server`);
    if (metadata.code_challenge_methods_supported?.includes('S256') !== true)
      throw new Error(`${metadata.issuer} does not say that it supports PKCE with S256`);
    this.#discovery = state;
  }

  redirectToAuthorization(url: URL): void {
    if (url.protocol !== 'https:' && !isLoopback(url.hostname)) throw new Error(`${url.origin} is not a page to sign in at: only https is`);
    this.#authorizationUrl = url;
  }

  #fetch(signal: AbortSignal): typeof fetch {
    return this.#server.fetch({ internal: this.#internal, signal });
  }

  get #found(): OAuthDiscoveryState {
    if (this.#discovery === undefined) throw new Error('no authorization server has been found');
    return this.#discovery;
  }

  get #registered(): StoredOAuthClientInformation {
    if (this.#client === undefined) throw new Error('the gateway is not registered with the authorization server');
    return this.#client;
  }

  #register(information: StoredOAuthClientInformation): void {
    const { registrations } = this.#server;
    const { issuer } = information;
    this.#client = information;
    if (issuer === undefined) return;
    registrations.set(this.#registrationKey({ issuer }), information);
    const [oldest] = registrations.keys();
    if (oldest !== undefined && registrations.size > mostRegistrations) registrations.delete(oldest);
  }

  /** Tokens that can be sent, under the name of who gave them. A registration that is no longer known is forgotten. */
  async #tokensFrom(given: Promise<OAuthTokens>, issuer: string | undefined): Promise<StoredOAuthTokens> {
    try {
      const tokens = await given;
      if (!/^[\x21-\x7e]+$/.test(tokens.access_token)) throw new Error('the authorization server gave a token that cannot be sent');
      return { ...tokens, ...(issuer !== undefined && { issuer }) };
    } catch (error) {
      const { OAuthError, OAuthErrorCode } = await sdk();
      const unknown: readonly string[] = [OAuthErrorCode.InvalidClient, OAuthErrorCode.UnauthorizedClient];
      if (error instanceof OAuthError && unknown.includes(error.code)) this.forgetRegistration();
      throw error;
    }
  }

  /** A registration holds for one issuer and one way back. */
  #registrationKey({ issuer }: OAuthClientInformationContext): string {
    return JSON.stringify([issuer, this.redirectUrl]);
  }
}
