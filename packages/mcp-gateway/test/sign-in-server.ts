import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UserAgent } from '@tidegate/test-kit';

/** What a request brought, as it came. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

interface Grant {
  readonly account: string;
  readonly scope: string;
  readonly clientId: string;
}

interface Code extends Grant {
  readonly challenge: string;
  readonly redirectUri: string;
}

type Json = Record<string, unknown>;

/** How the server behaves; a test may change all of it while it runs. */
export interface SignInServerSettings {
  /** Which revision it speaks. */
  era: 'legacy' | 'modern';
  /** Whether tokens can be renewed. */
  refreshTokens: boolean;
  /** Members of the authorization server's metadata, over its own. */
  metadata: Json;
  /** Members of the protected resource's metadata, over its own. */
  resource: Json;
  /** Answers requests in place of the server: true where it did. */
  instead: (request: SeenRequest, response: ServerResponse) => boolean | Promise<boolean>;
  /** The scopes that a person grants of those that are asked for. */
  grants: (scope: string) => string;
  /** Query members of the way back to the client, over its own. */
  callback: Json;
  /** Whether the handshake, too, needs a token. */
  guardsHandshake: boolean;
  /** Accounts that may call nothing. */
  banned: readonly string[];
}

/** What every secret that it gives out begins with, so that one can look for them everywhere. */
export const canary = 'canary-5f0e';

/** An MCP server whose callers sign in, and the authorization server that it trusts, at one origin. */
export class SignInServer implements AsyncDisposable {
  readonly settings: SignInServerSettings;
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;
  readonly #clients = new Map<string, { secret: string; redirectUris: readonly string[] }>();
  readonly #codes = new Map<string, Code>();
  readonly #access = new Map<string, Grant>();
  readonly #refresh = new Map<string, Grant>();
  readonly #streams = new Map<ServerResponse, string>();

  private constructor(settings: Partial<SignInServerSettings>) {
    this.settings = {
      era: 'legacy',
      refreshTokens: true,
      metadata: {},
      resource: {},
      instead: () => false,
      grants: (scope) => scope,
      callback: {},
      guardsHandshake: true,
      banned: [],
      ...settings,
    };
    this.#server = createServer((request, response) => {
      void this.#answer(request, response).catch((error: Error) => response.writeHead(500).end(error.stack));
    });
  }

  static async start(settings: Partial<SignInServerSettings> = {}): Promise<SignInServer> {
    const server = new SignInServer(settings);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `${this.origin}/mcp`;
  }

  /** The requests for a path, by their bodies where they are forms or messages. */
  at(path: string): readonly SeenRequest[] {
    return this.requests.filter((request) => request.path === path);
  }

  /** The calls of a tool, by the tokens that they came with. */
  callsOf(tool: string): readonly SeenRequest[] {
    return this.at('/mcp').filter(({ body }) => body.includes('"tools/call"') && body.includes(`"${tool}"`));
  }

  /** The token requests of one grant. */
  tokenRequests(grant: 'authorization_code' | 'refresh_token'): readonly SeenRequest[] {
    return this.at('/token').filter(({ body }) => new URLSearchParams(body).get('grant_type') === grant);
  }

  /** Whose token a request came with. */
  accountOf({ authorization = '' }: SeenRequest): string | undefined {
    return /^Bearer canary-5f0e-access-(\w+)-/.exec(authorization)?.[1];
  }

  /** The time of all access tokens is over. */
  endAccess(): void {
    this.#access.clear();
  }

  /** No token is renewed any more. */
  endRefresh(): void {
    this.#refresh.clear();
  }

  /** Forgets its registered clients, as after a restart. */
  forgetClients(): void {
    this.#clients.clear();
  }

  /** Whose streams of notifications are open. */
  get listening(): readonly string[] {
    return [...this.#streams.values()];
  }

  /** Tells this account's streams that its tools have changed. */
  announce(account: string): void {
    const message = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    for (const [stream, owner] of this.#streams) if (owner === account) stream.write(`data: ${message}\n\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const part of incoming.setEncoding('utf8')) body += part;
    const { pathname, search, searchParams } = new URL(incoming.url ?? '/', this.origin);
    const { method = 'GET', headers } = incoming;
    const request = { method, path: pathname, query: search.slice(1), authorization: headers.authorization, body };
    this.requests.push(request);
    if (await this.settings.instead(request, response)) return;
    if (pathname.startsWith('/.well-known/oauth-protected-resource')) return json(response, 200, this.#resource());
    if (pathname === '/.well-known/oauth-authorization-server') return json(response, 200, this.#metadata());
    if (pathname === '/register') return this.#register(JSON.parse(body), response);
    if (pathname === '/login') return void response.writeHead(200, { 'set-cookie': `account=${searchParams.get('account')}` }).end('in');
    if (pathname === '/authorize')
      return this.#authorize(searchParams, /account=(\w+)/.exec(headers.cookie ?? '')?.[1] ?? 'someone', response);
    if (pathname === '/token') return this.#token(new URLSearchParams(body), headers.authorization, response);
    if (pathname === '/mcp') return this.#mcp(request, response);
    json(response, 404, {});
  }

  #resource(): Json {
    return { resource: this.url, authorization_servers: [this.origin], ...this.settings.resource };
  }

  #metadata(): Json {
    return {
      issuer: this.origin,
      authorization_endpoint: `${this.origin}/authorize`,
      token_endpoint: `${this.origin}/token`,
      registration_endpoint: `${this.origin}/register`,
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
      authorization_response_iss_parameter_supported: true,
      ...this.settings.metadata,
    };
  }

  #register({ redirect_uris: redirectUris }: Json, response: ServerResponse): void {
    const clientId = `client-${this.#clients.size + 1}-${randomUUID()}`;
    const secret = `${canary}-secret-${randomUUID()}`;
    this.#clients.set(clientId, { secret, redirectUris: redirectUris as string[] });
    json(response, 201, { client_id: clientId, client_secret: secret, redirect_uris: redirectUris });
  }

  async #authorize(query: URLSearchParams, account: string, response: ServerResponse): Promise<void> {
    const value = (name: string) => query.get(name) ?? '';
    const redirectUri = value('redirect_uri');
    const client = this.#clients.get(value('client_id'));
    if (!client?.redirectUris.includes(redirectUri) || value('code_challenge_method') !== 'S256')
      return void response.writeHead(400).end('who are you?');
    const code = `${canary}-code-${randomUUID()}`;
    const scope = this.settings.grants(value('scope'));
    this.#codes.set(code, { account, scope, clientId: value('client_id'), challenge: value('code_challenge'), redirectUri });
    const back = new URL(redirectUri);
    for (const [name, member] of Object.entries({ code, state: value('state'), iss: this.origin, ...this.settings.callback }))
      if (member !== undefined) back.searchParams.set(name, String(member));
    response.writeHead(302, { location: back.href }).end();
  }

  async #token(form: URLSearchParams, authorization: string | undefined, response: ServerResponse): Promise<void> {
    const value = (name: string) => form.get(name) ?? '';
    const [clientId = '', secret] = Buffer.from(authorization?.slice('Basic '.length) ?? '', 'base64')
      .toString()
      .split(':');
    if (secret === undefined || this.#clients.get(clientId)?.secret !== secret) return json(response, 401, { error: 'invalid_client' });
    const code = this.#codes.get(value('code'));
    this.#codes.delete(value('code'));
    const refresh = this.#refresh.get(value('refresh_token'));
    this.#refresh.delete(value('refresh_token'));
    const verified = code?.challenge === createHash('sha256').update(value('code_verifier')).digest('base64url');
    const grant =
      value('grant_type') === 'refresh_token' ? refresh : verified && code?.redirectUri === value('redirect_uri') ? code : undefined;
    if (grant === undefined || grant.clientId !== clientId || value('resource') !== this.#resource()['resource'])
      return json(response, 400, { error: 'invalid_grant', error_description: `no such grant: ${form}` });
    const accessToken = `${canary}-access-${grant.account}-${randomUUID()}`;
    const refreshToken = `${canary}-refresh-${randomUUID()}`;
    this.#access.set(accessToken, grant);
    if (this.settings.refreshTokens) this.#refresh.set(refreshToken, grant);
    const renewable = this.settings.refreshTokens ? { refresh_token: refreshToken } : {};
    json(response, 200, { access_token: accessToken, token_type: 'Bearer', scope: grant.scope, ...renewable });
  }

  async #mcp({ method, authorization = '', body }: SeenRequest, response: ServerResponse): Promise<void> {
    const grant = this.#access.get(authorization.slice('Bearer '.length));
    const {
      id,
      method: asked,
      params = {},
    } = (method === 'POST' ? JSON.parse(body) : {}) as { id?: unknown; method?: string; params?: Json };
    const open =
      !this.settings.guardsHandshake && (asked === 'initialize' || asked === 'server/discover' || id === undefined) && method === 'POST';
    const metadata = `resource_metadata="${this.origin}/.well-known/oauth-protected-resource/mcp"`;
    if (grant === undefined && !open) return refuse(response, 401, `Bearer ${metadata}`);
    if (grant !== undefined && this.settings.banned.includes(grant.account)) return refuse(response, 403, `Bearer error="invalid_request"`);
    if (method === 'GET') return this.#listen(response, grant?.account ?? '');
    if (method !== 'POST' || id === undefined) return void response.writeHead(method === 'DELETE' ? 200 : 202).end();
    const scope = params['name'] === 'admin' ? 'admin' : params['name'] === 'audit' ? 'audit' : undefined;
    if (scope !== undefined && !grant?.scope.split(' ').includes(scope))
      return refuse(response, 403, `Bearer error="insufficient_scope", scope="${scope}", ${metadata}`);
    const session = asked === 'initialize' ? { 'mcp-session-id': randomUUID() } : {};
    const answer = this.settings.era === 'modern' ? modernAnswer : legacyAnswer;
    json(response, 200, { jsonrpc: '2.0', id, ...answer(asked ?? '', params, grant?.account ?? 'nobody') }, session);
  }

  async #listen(response: ServerResponse, account: string): Promise<void> {
    if (this.settings.era === 'modern') return void response.writeHead(405).end();
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    this.#streams.set(response, account);
    response.once('close', () => this.#streams.delete(response));
  }
}

/** Opens a link in a browser whose user has this account at the server; gives the last page. */
export async function visit(
  link: string,
  account: string,
  server: SignInServer,
): Promise<{ readonly status: number; readonly text: string }> {
  const browser = new UserAgent();
  await browser.open(`${server.origin}/login?account=${account}`);
  return browser.open(link);
}

function legacyAnswer(method: string, params: Json, account: string): Json {
  if (method === 'server/discover') return { error: { code: -32_601, message: 'no such method' } };
  if (method !== 'initialize') return { result: resultOf(method, params, account) };
  return { result: { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'vault', version: '1' } } };
}

function modernAnswer(method: string, params: Json, account: string): Json {
  if (method === 'initialize') return { error: { code: -32_601, message: 'no such method' } };
  const own = method === 'server/discover' ? { supportedVersions: ['2026-07-28'], capabilities } : resultOf(method, params, account);
  return { result: { resultType: 'complete', ...own } };
}

const capabilities = { tools: {}, resources: {}, prompts: {} };

/** Every account has a tool, a resource and a prompt that carry its name. */
function resultOf(method: string, params: Json, account: string): Json {
  const inputSchema = { type: 'object' };
  const names = ['whoami', 'admin', 'audit', `of_${account}`];
  switch (method) {
    case 'tools/list':
      return { tools: names.map((name) => ({ name, inputSchema })) };
    case 'resources/list':
      return { resources: [{ uri: `vault://${account}`, name: account }] };
    case 'resources/templates/list':
      return { resourceTemplates: [] };
    case 'prompts/list':
      return { prompts: [{ name: `greet_${account}` }] };
    case 'resources/read':
      return { contents: [{ uri: params['uri'], text: account }] };
    case 'prompts/get':
      return { messages: [{ role: 'user', content: { type: 'text', text: account } }] };
    default:
      return { content: [{ type: 'text', text: account }] };
  }
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function refuse(response: ServerResponse, status: number, challenge: string): void {
  response.writeHead(status, { 'www-authenticate': challenge }).end();
}
