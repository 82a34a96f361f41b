import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Direction, type FrameEra, validateFrame } from './frames.ts';

const folder = new URL('../schemas/mcp/', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, folder), 'utf8');

type Example = Readonly<Record<string, unknown>>;
type Frame = readonly [name: string, direction: Direction, message: Example, methodOfRequest?: string];

const meta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};

const methods: Readonly<Record<string, string>> = {
  CallTool: 'tools/call',
  Complete: 'completion/complete',
  Discover: 'server/discover',
  GetPrompt: 'prompts/get',
  InputRequired: 'tools/call',
  ListPrompts: 'prompts/list',
  ListResources: 'resources/list',
  ListResourceTemplates: 'resources/templates/list',
  ListTools: 'tools/list',
  ReadResource: 'resources/read',
  SubscriptionsListen: 'subscriptions/listen',
};

/** The examples of the specification that are whole messages, and its results within one. */
const examples: Frame[] = Object.entries(JSON.parse(read('2026-07-28/examples.json')) as Record<string, Example>).flatMap(
  ([name, example]): Frame[] => {
    const type = name.split('/')[0] ?? '';
    const method = methods[type.replace(/(Request|Result|ResultResponse)$/, '')];
    if (type.endsWith('Notification')) {
      const toServer = type === 'CancelledNotification';
      return [[name, toServer ? 'to-server' : 'to-client', example]];
    }
    if (type.endsWith('Error')) return [[name, 'to-client', 'jsonrpc' in example ? example : { jsonrpc: '2.0', id: 1, error: example }]];
    if (method === undefined) return [];
    if (type.endsWith('Request')) return [[name, 'to-server', example]];
    if (type.endsWith('ResultResponse')) return [[name, 'to-client', example, method]];
    if (type.endsWith('Result')) return [[name, 'to-client', { jsonrpc: '2.0', id: 1, result: example }, method]];
    return [];
  },
);

const request = (method: string, params?: object) => ({ jsonrpc: '2.0', id: 1, method, ...(params && { params }) });
const notification = (method: string, params?: object) => ({ jsonrpc: '2.0', method, ...(params && { params }) });
const response = (result: unknown) => ({ jsonrpc: '2.0', id: 1, result });
const failure = (code: number, data?: unknown) => ({
  jsonrpc: '2.0',
  id: 1,
  error: { code, message: 'no', ...(data !== undefined && { data }) },
});
const tool = { name: 'echo', inputSchema: { type: 'object' } };
const form = { message: 'Name?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } };

const good: readonly [era: FrameEra, direction: Direction, what: string, message: unknown, methodOfRequest?: string][] = [
  [
    'legacy',
    'to-server',
    'a handshake',
    request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } }),
  ],
  ['legacy', 'to-server', 'its end', notification('notifications/initialized')],
  ['legacy', 'to-client', 'a list', response({ tools: [tool] }), 'tools/list'],
  ['legacy', 'to-client', 'an elicitation', request('elicitation/create', form)],
  [
    'legacy',
    'to-client',
    'a form with a broken number',
    request('elicitation/create', {
      message: 'Score?',
      requestedSchema: { type: 'object', properties: { score: { type: 'number', default: 95.5 } } },
    }),
  ],
  ['legacy', 'to-server', 'the answer to one', response({ action: 'accept', content: { name: 'Ada' } }), 'elicitation/create'],
  ['legacy', 'to-server', 'a ping', request('ping')],
  ['legacy', 'to-client', 'a ping of the server', request('ping')],
  ['legacy', 'to-client', 'the answer to a ping', response({}), 'ping'],
  [
    'legacy',
    'to-client',
    'a task instead of a result',
    response({ task: { taskId: 't', status: 'working', createdAt: 'now', lastUpdatedAt: 'now', ttl: null } }),
    'tools/call',
  ],
  ['legacy', 'to-client', 'an error', failure(-32000, { retryAfterMs: 5 })],
  ['legacy', 'to-client', 'an error without an id', { jsonrpc: '2.0', error: { code: -32700, message: 'not JSON' } }],
  ['legacy', 'to-server', 'a method of nobody', request('acme/do', { any: 1 })],
  ['modern', 'to-server', 'a call', request('tools/call', { name: 'echo', _meta: meta })],
  ['modern', 'to-server', 'a method of the tasks extension', request('tasks/get', { taskId: 't', _meta: meta })],
  ['modern', 'to-client', 'a result type of an extension', response({ resultType: 'task', taskId: 't' }), 'tools/call'],
  ['modern', 'to-client', 'state without questions', response({ resultType: 'input_required', requestState: 's' }), 'prompts/get'],
  ['modern', 'to-client', 'a result whose request nobody tells', response({ resultType: 'complete' })],
];

const bad: typeof good = [
  ['legacy', 'to-client', 'a tool without a schema', response({ tools: [{ name: 'echo' }] }), 'tools/list'],
  ['legacy', 'to-client', 'a call of the server', request('tools/call', { name: 'echo' })],
  ['legacy', 'to-server', 'an elicitation of the client', request('elicitation/create', form)],
  ['legacy', 'to-server', 'a method of the next revision', request('server/discover', { _meta: meta })],
  [
    'legacy',
    'to-server',
    'a handshake without capabilities',
    request('initialize', { protocolVersion: '2025-11-25', clientInfo: { name: 'c', version: '1' } }),
  ],
  ['legacy', 'to-server', 'an answer of no action', response({ content: {} }), 'elicitation/create'],
  ['legacy', 'to-client', 'progress of nothing', notification('notifications/progress', { progress: 1 })],
  ['legacy', 'to-client', 'a URL elicitation error without URLs', failure(-32042, {})],
  ['legacy', 'to-client', 'a batch', [request('ping')]],
  ['legacy', 'to-client', 'a result and an error', { ...response({}), ...failure(-32000) }],
  ['legacy', 'to-client', 'neither', { jsonrpc: '2.0', id: 1 }],
  ['legacy', 'to-client', 'an id of null', { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'not JSON' } }],
  ['legacy', 'to-client', 'a broken error code', failure(1.5)],
  ['modern', 'to-server', 'a call without its envelope', request('tools/call', { name: 'echo' })],
  [
    'modern',
    'to-server',
    'a call without capabilities',
    request('tools/call', { name: 'echo', _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } }),
  ],
  [
    'modern',
    'to-server',
    'a handshake',
    request('initialize', { protocolVersion: '2026-07-28', capabilities: {}, clientInfo: { name: 'c', version: '1' }, _meta: meta }),
  ],
  ['modern', 'to-server', 'a ping', request('ping', { _meta: meta })],
  ['modern', 'to-server', 'a response', response({ resultType: 'complete', action: 'accept' })],
  ['modern', 'to-client', 'a request of the server', request('elicitation/create', form)],
  ['modern', 'to-client', 'a result without its type', response({ content: [] }), 'tools/call'],
  [
    'modern',
    'to-client',
    'a list without its lifetime',
    response({ resultType: 'complete', tools: [tool], cacheScope: 'private' }),
    'tools/list',
  ],
  ['modern', 'to-client', 'a list that asks back', response({ resultType: 'input_required', requestState: 's' }), 'tools/list'],
  ['modern', 'to-client', 'questions without any', response({ resultType: 'input_required' }), 'tools/call'],
  [
    'modern',
    'to-client',
    'a question that is none',
    response({ resultType: 'input_required', inputRequests: { q: { method: 'ping' } } }),
    'tools/call',
  ],
  ['modern', 'to-client', 'capabilities as a list', failure(-32021, { requiredCapabilities: ['sampling'] })],
  ['modern', 'to-client', 'an unsupported version without those that are', failure(-32022, { requested: 'x' })],
];

describe('a frame', () => {
  test('of the examples of the specification is valid', () => {
    expect(examples.length).toBeGreaterThan(50);
    const problems = examples.map(
      ([name, direction, message, method]) => [name, validateFrame('modern', direction, message, method)] as const,
    );
    const invalid = problems.filter(([, found]) => found.length > 0).map(([name]) => name);
    // Written before `ttlMs` and `cacheScope` became required; the example beside it has them.
    expect(invalid).toEqual(['ReadResourceResultResponse/read-resource-result-response']);
  });

  test('of the examples is invalid with another version of JSON-RPC, sent the other way, or in the other era', () => {
    for (const [name, direction, message, method] of examples) {
      expect(validateFrame('modern', direction, { ...message, jsonrpc: '1.0' }, method), name).not.toEqual([]);
      const other = direction === 'to-server' ? 'to-client' : 'to-server';
      const eitherWay = 'method' in message && message['method'] === 'notifications/cancelled';
      if (!('error' in message) && !eitherWay) {
        expect(validateFrame('modern', other, message, method), `${name} ${other}`).not.toEqual([]);
      }
    }
  });

  test.each(good)('%s, %s: %s', (era, direction, _, message, method) => {
    expect(validateFrame(era, direction, message, method)).toEqual([]);
  });

  test.each(bad)('not %s, %s: %s', (era, direction, _, message, method) => {
    expect(validateFrame(era, direction, message, method)).not.toEqual([]);
  });
});

test('the vendored files are those that their README names', () => {
  const rows = [...read('README.md').matchAll(/^\| `([^`]+)` .*`([0-9a-f]{64})` \|$/gm)];
  expect(rows.length).toBe(3);
  for (const [, file = '', sum] of rows) expect(createHash('sha256').update(read(file)).digest('hex'), file).toBe(sum);
});
