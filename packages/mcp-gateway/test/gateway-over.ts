import { Client, type ClientCapabilities, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { tempDir } from '@tidegate/test-kit';
import { onTestFinished } from 'vitest';
import { anonymous } from '../src/access.ts';
import type { Answer, Gateway, GatewayConfig, GatewayEvents } from '../src/index.ts';
import { createGateway } from '../src/index.ts';

/** Gives a thing back when the test has finished, the last first. */
export function keep<T extends AsyncDisposable>(thing: T): T {
  onTestFinished(() => thing[Symbol.asyncDispose]());
  return thing;
}

/** Retries without waiting, so that a test waits for nothing but what it is about. */
export const swift = { retry: { maxAttempts: 3, initialDelayMs: 1, maxDelayMs: 1 } } as const;

/** Swift, and with a circuit that never opens. */
export const tireless = { ...swift, breaker: { failures: 1_000_000 } } as const;

/** A gateway of a few servers with its data in a folder of its own and no limits; gone after the test. */
export async function gatewayOver(mcpServers: GatewayConfig['mcpServers'], rest: Partial<GatewayConfig> = {}): Promise<Gateway> {
  const dataDir = keep(tempDir('gateway-')).path;
  return keep(await createGateway({ dataDir, limits: [], ...rest, mcpServers }));
}

/** Calls a tool for the one principal of a gateway without tokens; rejects with what refused it. */
export function call(gateway: Gateway, name: string, args: Record<string, unknown> = {}, signal?: AbortSignal): Promise<Answer> {
  return gateway.callTool(anonymous, name, args, signal === undefined ? {} : { signal });
}

/** The text of a tool's answer; fails for any other answer. */
export function textOf(answer: Answer): string {
  if ('error' in answer) throw new Error(`an error was answered: ${answer.error.code} ${answer.error.message}`);
  return (answer.result['content'] as { text: string }[])[0]?.text ?? '';
}

/** What ended a call that should have been refused. */
export async function refusedWith(promise: Promise<unknown>): Promise<{ code: string; message: string; retryAfterMs?: number }> {
  const error = await promise.then(
    (value) => new Error(`nothing was refused: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  return error as { code: string; message: string; retryAfterMs?: number };
}

/** The events of one name, as they come. */
export function eventsOf<E extends keyof GatewayEvents>(gateway: Gateway, event: E): GatewayEvents[E][] {
  const events: GatewayEvents[E][] = [];
  onTestFinished(gateway.on(event, (happened) => events.push(happened)));
  return events;
}

/** Resolves with the first event of that name that fits. */
export function nextEvent<E extends keyof GatewayEvents>(
  gateway: Gateway,
  event: E,
  fits: (event: GatewayEvents[E]) => boolean = () => true,
): Promise<GatewayEvents[E]> {
  return new Promise((resolve) => {
    const remove = gateway.on(event, (happened) => {
      if (!fits(happened)) return;
      remove();
      resolve(happened);
    });
  });
}

/** The SDK's client in front of a gateway, without a socket between them. */
export async function clientOf(gateway: Gateway, capabilities: ClientCapabilities = {}): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' }, capabilities });
  const fetch = (url: string | URL, init?: RequestInit) => gateway.fetch(new Request(url, init));
  await client.connect(new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), { fetch }));
  keep({ [Symbol.asyncDispose]: () => client.close() });
  return client;
}

/** The names of the tools that a tenant sees now. */
export async function toolNames(gateway: Gateway): Promise<string[]> {
  const response = await gateway.fetch(new Request('http://127.0.0.1/api/mcp/tools'));
  const { tools } = (await response.json()) as { tools: { name: string }[] };
  return tools.map(({ name }) => name);
}
