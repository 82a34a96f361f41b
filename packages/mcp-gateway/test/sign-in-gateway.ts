import { Client, type ClientCapabilities, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { until } from '@tidegate/test-kit';
import type { GatewayConfig, GatewayEvents, HttpServerConfig } from '../src/index.ts';
import { keep } from './gateway-over.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';
import { SignInServer, type SignInServerSettings } from './sign-in-server.ts';

/** A server that wants a sign-in, a gateway before it, and everything that the gateway tells. */
export interface SignInWorld {
  readonly server: SignInServer;
  readonly served: ServedGateway;
  readonly news: [name: string, event: unknown][];
}

export interface SignInWorldOptions {
  readonly server?: Partial<SignInServerSettings>;
  /** More of the server's configuration. */
  readonly config?: Partial<HttpServerConfig>;
  /** More of the gateway's configuration. */
  readonly gateway?: Partial<GatewayConfig>;
}

const events: readonly (keyof GatewayEvents)[] = [
  ...(['sign-in', 'circuit', 'server', 'frame', 'call', 'retry', 'fallback', 'budget', 'collision', 'catalog', 'fault'] as const),
];

/** Users of two tenants. */
export const twoTenants = [
  { token: 'gate-ann', tenant: 'acme', user: 'ann' },
  { token: 'gate-bob', tenant: 'acme', user: 'bob' },
  { token: 'gate-cy', tenant: 'globex', user: 'ann' },
  { token: 'gate-ops', tenant: 'ops', user: 'root', role: 'operator' },
] as const;

/** Gone after the test. */
export async function signInWorld({ server: settings = {}, config = {}, gateway = {} }: SignInWorldOptions = {}): Promise<SignInWorld> {
  const server = keep(await SignInServer.start(settings));
  const vault: HttpServerConfig = { url: server.url, oauth: {}, retry: { maxAttempts: 3, initialDelayMs: 1, maxDelayMs: 1 }, ...config };
  const served = keep(await serveGateway({ mcpServers: { vault }, ...gateway }));
  const news: [string, unknown][] = [];
  for (const name of events) served.gateway.on(name, (event) => news.push([name, event]));
  return { server, served, news };
}

/** How a client's user answers when he is asked to open a page. */
export type OnUrl = (url: string) => Promise<'accept' | 'decline' | 'cancel'> | 'accept' | 'decline' | 'cancel';

/** The SDK's client in front of a gateway; with `onUrl` it can open pages. */
export class SignInClient {
  readonly client: Client;
  /** The notifications that it was sent. */
  readonly told: string[] = [];
  /** The pages that it was asked to open. */
  readonly asked: string[] = [];

  private constructor(capabilities: ClientCapabilities, era: 'legacy' | 'auto', onUrl: OnUrl | undefined) {
    this.client = new Client({ name: 'test', version: '1' }, { capabilities, versionNegotiation: { mode: era } });
    this.client.fallbackNotificationHandler = async ({ method }) => void this.told.push(method);
    if (onUrl === undefined) return;
    this.client.setRequestHandler('elicitation/create', async ({ params }) => {
      const url = params.mode === 'url' ? params.url : 'not a page';
      this.asked.push(url);
      return { action: await onUrl(url) };
    });
  }

  static async connect(
    { served }: SignInWorld,
    { token, onUrl, era = 'legacy' }: { token?: string; onUrl?: OnUrl; era?: 'legacy' | 'auto' } = {},
  ): Promise<SignInClient> {
    const own = new SignInClient(onUrl === undefined ? {} : { elicitation: { url: {} } }, era, onUrl);
    const headers = token === undefined ? {} : bearer(token);
    await own.client.connect(new StreamableHTTPClientTransport(new URL(served.url), { requestInit: { headers } }));
    keep({ [Symbol.asyncDispose]: () => own.client.close() });
    return own;
  }

  async tools(): Promise<string[]> {
    return (await this.client.listTools()).tools.map(({ name }) => name);
  }

  /** Waits until the server's own tools have taken the place of the one. */
  async untilSignedIn(): Promise<string[]> {
    return until(
      async () => {
        const names = await this.tools();
        return names.includes('vault__whoami') && names;
      },
      { what: "the server's own tools" },
    );
  }

  /** The text of a tool's answer. */
  async call(name: string, signal?: AbortSignal): Promise<{ text: string; isError: boolean; code: string | undefined }> {
    const { content, isError, _meta } = await this.client.callTool({ name }, signal === undefined ? {} : { signal });
    const refusal = _meta?.['io.tidegate/refusal'] as { code: string } | undefined;
    return { text: (content as { text: string }[])[0]?.text ?? '', isError: isError === true, code: refusal?.code };
  }

  /** The link that `sign_in` gives a client that opens no pages. */
  async link(): Promise<string> {
    return linkIn((await this.call('vault__sign_in')).text);
  }
}

export function linkIn(text: string): string {
  const [link] = /http:\/\/\S+\/oauth\/start\/[\w-]+/.exec(text) ?? [];
  if (link === undefined) throw new Error(`no link in: ${text}`);
  return link;
}
