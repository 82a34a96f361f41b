import { randomBytes } from 'node:crypto';
import type {
  OAuthClientInformationContext,
  OAuthClientMetadata,
  OAuthClientProvider,
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
  StoredOAuthTokens,
} from '@modelcontextprotocol/client';
import { isLoopback } from '../access.ts';
import type { OAuthServer } from './credential.ts';

/** How a flow is gone through. */
export interface FlowOptions {
  /** Where the authorization server sends the person back to. */
  readonly redirectUrl: string;
  /** The address of the gateway's client metadata document, if it has one. */
  readonly clientMetadataUrl?: string | undefined;
  /** What is to be refreshed, without a person; a flow without them is for a person. */
  readonly tokens?: StoredOAuthTokens;
}

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
 * One run through the authorization code flow with PKCE (OAuth 2.1), as the protocol's OAuth client asks for it. Every run has a
 * state, a verifier and an authorization server of its own, so that runs beside each other do not mix.
 */
export class SignInFlow implements OAuthClientProvider {
  readonly redirectUrl: string;
  readonly clientMetadataUrl?: string;
  readonly clientMetadata: OAuthClientMetadata;
  readonly saveClientInformation?: NonNullable<OAuthClientProvider['saveClientInformation']>;
  readonly #server: OAuthServer;
  readonly #state = randomBytes(32).toString('base64url');
  readonly #interactive: boolean;
  #tokens: StoredOAuthTokens | undefined;
  #verifier = '';
  #discovery: OAuthDiscoveryState | undefined;
  #authorizationUrl: URL | undefined;

  constructor(server: OAuthServer, { redirectUrl, clientMetadataUrl, tokens }: FlowOptions) {
    this.#server = server;
    this.#tokens = tokens;
    this.#interactive = tokens === undefined;
    this.redirectUrl = redirectUrl;
    this.clientMetadata = clientMetadata(redirectUrl, server.config.scopes);
    if (clientMetadataUrl !== undefined) this.clientMetadataUrl = clientMetadataUrl;
    if (server.config.clientId === undefined)
      this.saveClientInformation = (information, context) => {
        if (context !== undefined) server.registrations.set(this.#registrationKey(context), information);
      };
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

  /** The authorization server's own name for itself, and whether it says so in its answers (RFC 9207). */
  get issuer(): { readonly expectedIssuer: string | undefined; readonly issParameterSupported: boolean } {
    const metadata = this.#discovery?.authorizationServerMetadata;
    return {
      expectedIssuer: metadata?.issuer,
      issParameterSupported: metadata?.['authorization_response_iss_parameter_supported'] === true,
    };
  }

  state(): string {
    return this.#state;
  }

  clientInformation(context?: OAuthClientInformationContext): StoredOAuthClientInformation | undefined {
    const { clientId, clientSecret, issuer } = this.#server.config;
    if (clientId === undefined) return context && this.#server.registrations.get(this.#registrationKey(context));
    return {
      client_id: clientId,
      ...(clientSecret !== undefined && { client_secret: clientSecret }),
      ...(issuer !== undefined && { issuer }),
    };
  }

  tokens(): StoredOAuthTokens | undefined {
    return this.#tokens;
  }

  saveTokens(tokens: StoredOAuthTokens): void {
    this.#tokens = tokens;
  }

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
    if (!this.#interactive) throw new Error('a person has to sign in');
    if (url.protocol !== 'https:' && !isLoopback(url.hostname)) throw new Error(`${url.origin} is not a page to sign in at: only https is`);
    this.#authorizationUrl = url;
  }

  invalidateCredentials(what: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'): void {
    const issuer = this.issuer.expectedIssuer;
    if ((what === 'all' || what === 'client') && issuer !== undefined) this.#server.registrations.delete(this.#registrationKey({ issuer }));
    if (what === 'all' || what === 'tokens') this.#tokens = undefined;
  }

  /** A registration holds for one issuer and one way back. */
  #registrationKey({ issuer }: OAuthClientInformationContext): string {
    return JSON.stringify([issuer, this.redirectUrl]);
  }
}
