import { Client as Client2, StreamableHTTPClientTransport as Http2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Stdio2 } from '@modelcontextprotocol/client/stdio';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as Stdio1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as Http1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks';
import type { Transport as Transport1 } from '@modelcontextprotocol/sdk/shared/transport.js';
import * as schemas1 from '@modelcontextprotocol/sdk/types.js';
import { type Answers, type Questions, questioned } from './questions.ts';
import { Wire } from './wire.ts';

/** Where a server is: a program to start, or an address, for which `fetch` may be another one. */
export type Place = { readonly command: string; readonly args: string[] } | { readonly url: URL; readonly fetch?: typeof fetch };

/** A client that is connected. */
export interface Peer extends AsyncDisposable {
  /** Makes a request with the library's checks of what comes back, but none of what it may call. */
  readonly request: (method: Method, params: Record<string, unknown>) => Promise<unknown>;
  /** What the server says that it has. */
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly wire: Wire;
  /** What it was asked, in order. */
  readonly questions: Questions;
}

export interface ClientKind {
  readonly name: string;
  /** Which revisions it speaks with a server that speaks all. */
  readonly era: 'legacy' | 'modern';
  /** Connects; a client with `answers` offers to be asked, and with `tasks` to answer later, where the library can. */
  readonly connect: (place: Place, answers?: Answers, tasks?: InMemoryTaskStore) => Promise<Peer>;
}

export type Method = keyof typeof resultSchemas1;

const resultSchemas1 = {
  'tools/list': schemas1.ListToolsResultSchema,
  'tools/call': schemas1.CallToolResultSchema,
  'resources/list': schemas1.ListResourcesResultSchema,
  'resources/templates/list': schemas1.ListResourceTemplatesResultSchema,
  'resources/read': schemas1.ReadResourceResultSchema,
  'prompts/list': schemas1.ListPromptsResultSchema,
  'prompts/get': schemas1.GetPromptResultSchema,
  'completion/complete': schemas1.CompleteResultSchema,
};

const clientInfo = { name: 'differential', version: '1.0.0' };

/** Has progress reported; what is reported is taken from the wire. */
const withProgress = { onprogress: () => {} };

export const sdk1: ClientKind = {
  name: 'SDK v1',
  era: 'legacy',
  connect: async (place, answers, taskStore) => {
    const { capabilities, questions, answer } = questioned(answers, taskStore);
    const client = new Client1(clientInfo, { capabilities, ...(taskStore && { taskStore }) });
    if (answers !== undefined) {
      client.setRequestHandler(schemas1.CreateMessageRequestSchema, answer('sampling/createMessage'));
      client.setRequestHandler(schemas1.ElicitRequestSchema, answer('elicitation/create'));
      client.setRequestHandler(schemas1.ListRootsRequestSchema, answer('roots/list'));
    }
    const transport = 'url' in place ? new Http1(place.url, withFetch(place)) : new Stdio1({ ...place, stderr: 'ignore' });
    await client.connect(transport as Transport1);
    return {
      request: (method, params) => client.request({ method, params } as schemas1.ClientRequest, resultSchemas1[method], withProgress),
      capabilities: { ...client.getServerCapabilities() },
      wire: new Wire(transport),
      questions,
      [Symbol.asyncDispose]: () => client.close(),
    };
  },
};

type Negotiation = 'legacy' | 'auto' | { readonly pin: string };

function sdk2(name: string, era: ClientKind['era'], mode: Negotiation): ClientKind {
  const connect: ClientKind['connect'] = async (place, answers) => {
    const { capabilities, questions, answer } = questioned(answers);
    const client = new Client2(clientInfo, { capabilities, versionNegotiation: { mode } });
    if (answers !== undefined) {
      client.setRequestHandler('sampling/createMessage', answer('sampling/createMessage'));
      client.setRequestHandler('elicitation/create', answer('elicitation/create'));
      client.setRequestHandler('roots/list', answer('roots/list'));
    }
    const transport = 'url' in place ? new Http2(place.url, withFetch(place)) : new Stdio2({ ...place, stderr: 'ignore' });
    await client.connect(transport);
    if (client.getProtocolEra() !== era) throw new Error(`${name} speaks ${client.getProtocolEra()}, not ${era}`);
    return {
      request: (method, params) => client.request({ method, params }, withProgress),
      capabilities: { ...client.getServerCapabilities() },
      wire: new Wire(transport),
      questions,
      [Symbol.asyncDispose]: () => client.close(),
    };
  };
  return { name, era, connect };
}

const withFetch = ({ fetch }: { readonly fetch?: typeof globalThis.fetch }) => (fetch === undefined ? {} : { fetch });

export const legacyKinds: readonly ClientKind[] = [sdk1, sdk2('SDK v2 legacy', 'legacy', 'legacy')];

export const modernKinds: readonly ClientKind[] = [
  sdk2('SDK v2 auto', 'modern', 'auto'),
  sdk2('SDK v2 pinned to 2026-07-28', 'modern', { pin: '2026-07-28' }),
];

export const clientKinds = [...legacyKinds, ...modernKinds];

/**
 * Who speaks to the server itself where this kind is compared: the npm servers know the revisions up to 2025-11-25 alone, which a
 * client pinned to the next one cannot speak, and `auto` speaks there as `legacy` does.
 */
export function directKindOf(kind: ClientKind): ClientKind {
  return kind.era === 'legacy' ? kind : (legacyKinds[1] as ClientKind);
}
