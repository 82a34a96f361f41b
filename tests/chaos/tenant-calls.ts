import { type CallToolResult, Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

/** What became of a call, in the gateway's words for it. */
export interface End {
  readonly outcome: 'ok' | 'error' | 'refused' | 'cancelled';
  /** What the server said. */
  readonly text?: string;
  /** `ERR_…` of a refusal. */
  readonly code?: string;
}

/** A call by its number, which is in its arguments, and in its answer where the tool has one. */
export interface TenantCall {
  readonly number: number;
  readonly tenant: string;
  /** As clients know it. */
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** What an answer says, and whether it is an error of the tool. */
  readonly answer?: { readonly outcome: 'ok' | 'error'; readonly text: string };
  readonly signal?: AbortSignal;
}

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** The ways in which a tenant's people reach the gateway: clients of the protocol, and plain HTTP. */
export class Tenant {
  readonly name: string;
  /** Answers that a client of that number heard and that belong to no call of its own, or not any more. */
  readonly strays: string[][] = [];
  readonly #url: string;
  readonly #fetch: Fetch;
  readonly #clients: Client[] = [];

  constructor(name: string, url: string, fetch: Fetch) {
    this.name = name;
    this.#url = url;
    this.#fetch = fetch;
  }

  get #headers(): Record<string, string> {
    return { authorization: `Bearer secret-${this.name}` };
  }

  async connect(many: number): Promise<void> {
    for (let index = 0; index < many; index += 1) {
      const client = new Client({ name: `${this.name}-${index}`, version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' } });
      const strays: string[] = [];
      this.strays.push(strays);
      client.onerror = ({ message }) => {
        if (message.startsWith('Received a response for an unknown message ID')) strays.push(message);
      };
      const requestInit = { headers: this.#headers };
      await client.connect(new StreamableHTTPClientTransport(new URL(this.#url), { fetch: this.#fetch, requestInit }));
      this.#clients.push(client);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  /** The catalogue as one of the tenant's clients sees it, or plain HTTP. */
  async catalogue(by: number): Promise<string> {
    const client = this.#clients[by];
    const { tools } = client === undefined ? await this.get<{ tools: object[] }>('/api/mcp/tools') : await client.listTools();
    return JSON.stringify(tools);
  }

  async get<T>(path: string): Promise<T> {
    const response = await this.#fetch(new URL(path, this.#url), { headers: this.#headers });
    return (await response.json()) as T;
  }

  /** Makes the call by one of the clients, or by plain HTTP where there is none of that number. */
  async make(call: TenantCall, by: number): Promise<End> {
    const client = this.#clients[by];
    try {
      return await (client === undefined ? this.#plainly(call) : this.#throughClient(client, call));
    } catch (error) {
      if (call.signal?.aborted) return { outcome: 'cancelled' };
      if ((error as { code?: unknown }).code === -32_603) return { outcome: 'error', text: (error as Error).message };
      throw error;
    }
  }

  async #throughClient(client: Client, { name, args, signal }: TenantCall): Promise<End> {
    const result = (await client.callTool({ name, arguments: args }, signal && { signal })) as CallToolResult;
    const refusal = result._meta?.['io.tidegate/refusal'] as { code: string } | undefined;
    return refusal === undefined ? endOf(result) : { outcome: 'refused', code: refusal.code };
  }

  async #plainly({ name, args, signal }: TenantCall): Promise<End> {
    const headers = { ...this.#headers, 'content-type': 'application/json' };
    const url = new URL(`/api/mcp/tools/${name}`, this.#url);
    const response = await this.#fetch(url, { method: 'POST', headers, body: JSON.stringify(args), ...(signal && { signal }) });
    const body = await response.json();
    if (response.ok) return endOf(body as CallToolResult);
    const { code, title } = body as { code: string; title: string };
    return code === 'ERR_UPSTREAM_ERROR' ? { outcome: 'error', text: title } : { outcome: 'refused', code };
  }
}

function endOf({ content, isError }: Pick<CallToolResult, 'content' | 'isError'>): End {
  return { outcome: isError === true ? 'error' : 'ok', text: content[0]?.type === 'text' ? content[0].text : '' };
}

/** What calls are counted by. */
export const keyOf = ({ tenant, name }: { tenant: string; name: string }) => `${tenant} ${name}`;

/** The calls of each tenant and tool. */
export function grouped<T extends { tenant: string; name: string }>(all: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of all) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}

/** `tidegate_calls_total` by tenant and name, then by outcome. */
export function callsTotal(text: string): Map<string, Record<string, number>> {
  const totals = new Map<string, Record<string, number>>();
  for (const line of text.split('\n')) {
    const [, tenant = '', name = '', outcome = '', value] =
      /^tidegate_calls_total\{tenant="([^"]*)",server="[^"]*",name="([^"]*)",outcome="([^"]*)".*\} (\d+)$/.exec(line) ?? [];
    if (value === undefined) continue;
    totals.set(keyOf({ tenant, name }), { ...totals.get(keyOf({ tenant, name })), [outcome]: Number(value) });
  }
  return totals;
}
