import { asText } from '../src/json-rpc.ts';
import { chance, type Json, oddity, pick, type Random } from './mutations.ts';
import { posted } from './raw-http.ts';
import { modernHeaders, modernMeta } from './raw-modern.ts';

/** The few kinds of clients there are: each kind that can be asked for something has conversations of its own. */
const kinds = [{}, { elicitation: {} }, { elicitation: {}, roots: {} }];

const calls = (server: 'legacy' | 'modern'): [method: string, params: Json][] => [
  ['tools/call', { name: `${server}__echo`, arguments: { a: 1, b: ['x'] } }],
  [
    'tools/call',
    {
      name: `${server}__echo`,
      arguments: { a: 1 },
      _meta: { progressToken: 'p', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
    },
  ],
  ['tools/call', { name: `${server}__fail`, arguments: {} }],
  ['tools/call', { name: `${server}__ask`, arguments: {} }],
  ['tools/call', { name: `${server}__place`, arguments: { region: 'west' } }],
  ['resources/read', { uri: `plain://${server}/one` }],
  ['resources/read', { uri: `plain://${server}/other` }],
  ['prompts/get', { name: `${server}__greet`, arguments: { a: 'b' } }],
  ['completion/complete', { ref: { type: 'ref/prompt', name: `${server}__greet` }, argument: { name: 'a', value: 'b' } }],
  ['completion/complete', { ref: { type: 'ref/resource', uri: `plain://${server}/{any}` }, argument: { name: 'any', value: '' } }],
];
const lists: [method: string, params: Json][] = ['tools/list', 'resources/list', 'resources/templates/list', 'prompts/list'].flatMap(
  (method) => [
    [method, {}],
    [method, { cursor: 'Zm9yZ2Vk' }],
  ],
);
const shared = [...calls('legacy'), ...calls('modern'), ...lists];
const ofSessions: [method: string, params: Json][] = [
  ['ping', {}],
  ['logging/setLevel', { level: 'info' }],
  ['resources/subscribe', { uri: 'plain://legacy/one' }],
  ['resources/unsubscribe', { uri: 'plain://legacy/one' }],
];
const notices: [method: string, params: Json][] = [
  ['notifications/initialized', {}],
  ['notifications/cancelled', { requestId: 3, reason: 'none' }],
  ['notifications/roots/list_changed', {}],
  ['notifications/progress', { progressToken: 1, progress: 1 }],
];

let lastId = 0;
const freshId = () => {
  lastId += 1;
  return lastId % 3 === 0 ? `id-${lastId}` : lastId;
};

export function initializeOf(random: Random): Json {
  const params = { protocolVersion: '2025-11-25', capabilities: pick(random, kinds), clientInfo: { name: 'fuzz', version: '1' } };
  return { jsonrpc: '2.0', id: freshId(), method: 'initialize', params };
}

/** A right frame of a client with a session. */
export function legacyFrame(random: Random): Json {
  if (chance(random, 0.05)) return initializeOf(random);
  if (chance(random, 0.05))
    return { jsonrpc: '2.0', id: `tidegate-${Math.floor(random() * 9)}`, result: { action: 'accept', content: {} } };
  if (chance(random, 0.1)) {
    const [method, params] = pick(random, notices);
    return { jsonrpc: '2.0', method, params };
  }
  const [method, params] = pick(random, chance(random, 0.2) ? ofSessions : shared);
  return { jsonrpc: '2.0', id: freshId(), method, params };
}

/** A right frame of a client without one; `states` are states that were given out before. */
export function modernFrame(random: Random, states: readonly string[] = []): Json {
  const _meta = modernMeta({ capabilities: pick(random, kinds), ...(chance(random, 0.2) && { logLevel: 'info' }) });
  const other: [method: string, params: Json][] = [
    ['server/discover', {}],
    ['subscriptions/listen', { notifications: { toolsListChanged: true, resourceSubscriptions: ['plain://legacy/one'] } }],
  ];
  const [method, params] = pick(random, chance(random, 0.1) ? other : shared);
  const answers = chance(random, 0.1) && {
    inputResponses: { name: { action: 'accept', content: { name: 'x' } }, q1: { action: 'decline' } },
    ...(chance(random, 0.7) && { requestState: stateOf(random, states) }),
  };
  return { jsonrpc: '2.0', id: freshId(), method, params: { ...params, ...answers, _meta: { ...(params['_meta'] as object), ..._meta } } };
}

/** A state of another call, one with a letter changed, or one that was never given out. */
function stateOf(random: Random, states: readonly string[]): string {
  const given = pick(random, [...states, 'tg1.Zm9yZ2Vk', 'plain-state', 'tg1.', 'tg1.!!']);
  if (chance(random, 0.5)) return given;
  const at = Math.floor(random() * given.length);
  return `${given.slice(0, at)}A${given.slice(at + 1)}`;
}

/** The request again with what it was asked for; undefined where it was asked for nothing. */
export function withAnswers(request: string, answer: unknown): Json | undefined {
  const result = (answer as { readonly result?: Json } | undefined)?.result;
  if (result?.['resultType'] !== 'input_required' || typeof result['requestState'] !== 'string') return undefined;
  const asked = JSON.parse(request) as { readonly params: Json };
  const keys = Object.keys(result['inputRequests'] ?? {});
  const inputResponses = Object.fromEntries(keys.map((key) => [key, { action: 'accept', content: { name: 'x' } }]));
  return { ...asked, id: freshId(), params: { ...asked.params, requestState: result['requestState'], inputResponses } };
}

/** The headers of a legacy frame. */
export const legacyHeaders = (session: string): Record<string, string> => ({
  ...posted,
  host: '127.0.0.1',
  'mcp-session-id': session,
  'mcp-protocol-version': '2025-11-25',
});

/** The headers that a modern frame asks for. */
export function headersOf(frame: Json): Record<string, string> {
  const params = (typeof frame['params'] === 'object' && frame['params'] !== null ? frame['params'] : {}) as Json;
  const name = [params['name'], params['uri']].find((value) => typeof value === 'string');
  const region = (params['arguments'] as Json | null | undefined)?.['region'];
  return {
    ...posted,
    host: '127.0.0.1',
    ...modernHeaders(asText(frame['method']), name as string | undefined),
    ...(typeof region === 'string' && { 'mcp-param-region': region }),
  };
}

const headerNames = [
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'mcp-param-region',
  'mcp-session-id',
  'accept',
  'content-type',
  'origin',
  'host',
];
const headerValues = [
  '',
  '2099-01-01',
  '2026-07-28',
  '2025-11-25',
  'DRAFT',
  'tools/call',
  '=?base64?!!?=',
  '=?base64?eA?=',
  '=?base64?eA==?=',
  '=?base64?/w==?=',
  '*/*',
  'text/plain',
  'http://evil.example',
  '127.0.0.1',
];

/** The headers with one left out, changed, or sent twice as node:http joins them. */
export function mutatedHeaders(random: Random, headers: Readonly<Record<string, string>>): Record<string, string> {
  const changed = { ...headers };
  const name = pick(random, headerNames);
  const how = random();
  if (how < 0.3) delete changed[name];
  else if (how < 0.5 && changed[name] !== undefined) changed[name] = `${changed[name]}, ${changed[name]}`;
  else changed[name] = chance(random, 0.8) ? pick(random, headerValues) : `${JSON.stringify(oddity(random))}`.slice(0, 99);
  return changed;
}
