// The client that the suite's client mode runs: a gateway with the suite's server behind it, and a client in front of the
// gateway that uses everything it is shown. What the suite then judges is what the gateway sent to its server.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport, type Tool } from '@modelcontextprotocol/client';
import { createGateway } from '@tidegate/mcp-gateway';
import { serve } from '@tidegate/mcp-gateway/node';
import { UserAgent } from '@tidegate/test-kit';
import { type Schema, sampleOf } from './sample-of.ts';

/** What the suite tells beside the address: the arguments of certain calls, or the credentials of a registered client. */
interface Context {
  readonly toolCalls?: readonly { readonly name: string; readonly arguments: Record<string, unknown> }[];
  readonly client_id?: string;
  readonly client_secret?: string;
  readonly issuer?: string;
}

const url = process.argv.at(-1) ?? '';
const context = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}') as Context;
const modern = process.env['MCP_CONFORMANCE_PROTOCOL_VERSION'] === '2026-07-28';

const dataDir = mkdtempSync(join(tmpdir(), 'driver-'));
const signsIn = (process.env['MCP_CONFORMANCE_SCENARIO'] ?? '').startsWith('auth/');
// the address that the suite knows as the client's metadata document; nothing is fetched from there
const clientMetadataUrl = 'https://conformance-test.local/client-metadata.json';
const { client_id: clientId, client_secret: clientSecret, issuer } = context;
const oauth = signsIn ? { oauth: { clientId, clientSecret, issuer, clientMetadataUrl } } : {};
const gateway = await createGateway({ mcpServers: { suite: { url, prefix: '', ...oauth } }, limits: [], dataDir });
const served = await serve(gateway, { port: 0 });
const client = new Client(
  { name: 'conformance-driver', version: '1.0.0' },
  { capabilities: { elicitation: { form: {}, url: {} } }, versionNegotiation: { mode: modern ? 'auto' : 'legacy' } },
);
client.setRequestHandler('elicitation/create', async ({ params }) => {
  if (params.mode === 'url') {
    const { status, text } = await new UserAgent().open(params.url);
    if (status === 200) return { action: 'accept' };
    process.stderr.write(`${text.replaceAll(/<style>.*<\/style>|<[^>]*>/g, ' ')}\n`);
    return { action: 'cancel' };
  }
  const form = 'requestedSchema' in params ? params.requestedSchema : undefined;
  return { action: 'accept', content: sampleOf((form ?? {}) as Schema, 'all') as Record<string, string> };
});

/** Says what failed and goes on: whether it should have is the suite's to judge. */
async function attempt<T>(what: string, action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    process.stderr.write(`${what}: ${String(error)}\n`);
    process.exitCode = 1;
    return undefined;
  }
}

function argumentsOf(tool: Tool, tools: readonly Tool[]): Record<string, unknown> {
  // Sends back the schema of the other tool as it arrived.
  if (tool.name === 'json_schema_echo') return { schema: tools.find(({ name }) => name !== tool.name)?.inputSchema };
  return sampleOf(tool.inputSchema as Schema, 'required') as Record<string, unknown>;
}

async function listTools(): Promise<readonly Tool[]> {
  const { tools = [] } = (await attempt('tools/list', () => client.listTools())) ?? {};
  const [only] = tools;
  if (!signsIn || only?.name !== 'sign_in') return tools;
  const signedIn = await attempt('sign_in', () => client.callTool({ name: 'sign_in' }));
  if (signedIn === undefined || signedIn.isError === true) throw new Error(`not signed in: ${JSON.stringify(signedIn)}`);
  return (await client.listTools()).tools;
}

async function useTools(): Promise<void> {
  const tools = await listTools();
  const told = new Map(context.toolCalls?.map((call) => [call.name, call.arguments]));
  // All at once, so that what belongs to one call would show in another.
  await Promise.all(
    tools.map((tool) =>
      attempt(tool.name, () => client.callTool({ name: tool.name, arguments: told.get(tool.name) ?? argumentsOf(tool, tools) })),
    ),
  );
}

async function useResources(): Promise<void> {
  const { resources = [] } = (await attempt('resources/list', () => client.listResources())) ?? {};
  for (const { uri } of resources) await attempt(uri, () => client.readResource({ uri }));
}

async function usePrompts(): Promise<void> {
  const { prompts = [] } = (await attempt('prompts/list', () => client.listPrompts())) ?? {};
  for (const { name } of prompts) await attempt(name, () => client.getPrompt({ name }));
}

try {
  await client.connect(new StreamableHTTPClientTransport(new URL(served.url)));
  await useTools();
  if (process.env['MCP_CONFORMANCE_SCENARIO'] === 'http-standard-headers') {
    await useResources();
    await usePrompts();
  }
  await client.close();
} finally {
  await served.close();
  rmSync(dataDir, { recursive: true, force: true });
}
