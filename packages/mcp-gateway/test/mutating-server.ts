// An MCP server that is right in everything but the answers to calls: `mutating-server.ts <legacy|modern> <stdio|http> [seed]`. A call
// says with which seed, and how many frames are mutated, so that whoever calls knows what comes; handshakes and lists go wrong
// now and then.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { seededRandom } from '@tidegate/test-kit';
import { chance, type Json, mutated, oddity, pick, type Random } from './mutations.ts';

const [era, transport, seed = '1'] = process.argv.slice(2);
const modern = era === 'modern';
const listed = modern ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {};
const complete = modern ? { resultType: 'complete' } : {};
const offered = { tools: { listChanged: true }, resources: { subscribe: true }, prompts: {}, completions: {}, logging: {} };
const uri = `mut://${era}-${transport}/{seed}/{frames}`;

const right: Readonly<Record<string, Json>> = {
  initialize: { protocolVersion: '2025-11-25', capabilities: offered, serverInfo: { name: 'mutating', version: '1' } },
  'server/discover': { ...listed, supportedVersions: ['2026-07-28'], capabilities: offered },
  ping: {},
  'logging/setLevel': {},
  'resources/subscribe': {},
  'tools/list': { ...listed, tools: ['call', 'once'].map((name) => ({ name, inputSchema: { type: 'object' } })) },
  'resources/list': { ...listed, resources: [] },
  'resources/templates/list': { ...listed, resourceTemplates: [{ uriTemplate: uri, name: 'mutated' }] },
  'prompts/list': { ...listed, prompts: [{ name: 'prompt' }] },
  'tools/call': { ...complete, content: [{ type: 'text', text: 'called' }] },
  'resources/read': { ...listed, contents: [{ uri: 'mut://x', text: 'read' }] },
  'prompts/get': { ...complete, messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }] },
  'completion/complete': { ...complete, completion: { values: ['one'] } },
};

interface Plan {
  readonly random: Random;
  readonly frames: number;
}

/** What a call asks for; undefined for every other request. */
function planOf({ method, params = {} }: { method?: unknown; params?: Json }): Plan | undefined {
  const text = JSON.stringify([params['arguments'], params['uri'], (params['argument'] as Json | undefined)?.['value']]);
  const [, chosen, frames] = /(\d+)\/(\d+)/.exec(text) ?? [];
  if (chosen === undefined || !['tools/call', 'resources/read', 'prompts/get', 'completion/complete'].includes(String(method)))
    return undefined;
  return { random: seededRandom(Number(chosen)), frames: Number(frames) };
}

const form = { message: 'Name?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } };

/** Something that could come for a request at that moment, right but for being out of place. */
function frameFor(random: Random, id: unknown, answer: Json, token: unknown): Json {
  const to = (other: unknown) => ({ jsonrpc: '2.0', id: other, ...answer });
  const notice = (method: string, params: Json) => ({ jsonrpc: '2.0', method, params });
  const asks = (method: string, params: Json) => ({ jsonrpc: '2.0', id: `q${Math.floor(random() * 1e9)}`, method, params });
  const error = (code: unknown, data: unknown) => ({ jsonrpc: '2.0', id, error: { code, message: 'no', data } });
  const question = { name: { method: 'elicitation/create', params: form } };
  const codes = [-32_000, -32_002, -32_020, -32_021, -32_022, -32_042, -32_601, -32_602, -32_603, -32_700, 0, 429];
  return pick(random, [
    () => to(id),
    () => to(id),
    () => to(id),
    () => to(pick(random, [Number(id) + 1, Number(id) - 1, String(id), null, 0, 1e9])),
    () =>
      error(
        pick(random, codes),
        pick(random, [undefined, {}, null, 'x', { elicitations: [] }, { supported: 5 }, { requiredCapabilities: [] }, oddity(random)]),
      ),
    () => ({
      jsonrpc: '2.0',
      id,
      result: { ...complete, resultType: pick(random, ['task', 'input_required', 'complete', 'x', '', 5, null]) },
    }),
    () => ({ jsonrpc: '2.0', id, result: { resultType: 'input_required', inputRequests: question, requestState: 'state' } }),
    () => ({ jsonrpc: '2.0', id, result: { resultType: 'input_required', inputRequests: oddity(random), requestState: oddity(random) } }),
    () => ({ jsonrpc: '2.0', id, result: pick(random, [[], null, 'x', 5, {}]) }),
    () => notice('notifications/progress', { progressToken: token ?? id, progress: 1 }),
    () => notice('notifications/message', { level: chance(random, 0.5) ? 'info' : oddity(random), data: 'x' }),
    () => notice('notifications/cancelled', { requestId: id }),
    () => notice('notifications/resources/updated', { uri: chance(random, 0.5) ? 'mut://x' : oddity(random) }),
    () => (chance(random, 0.05) ? notice('notifications/tools/list_changed', {}) : notice('notifications/of/nobody', {})),
    () => asks('ping', {}),
    () => asks('elicitation/create', form),
    () => asks('sampling/createMessage', { messages: [], maxTokens: 1 }),
    () => asks('roots/list', {}),
    () => asks('tools/list', {}),
  ])();
}

/** How often the rest of a conversation goes wrong, before it goes right: seldom, so that there are calls at all. */
const wrongOnce: Readonly<Record<string, number>> = {
  initialize: 0.1,
  'server/discover': 0.1,
  'tools/list': 0.2,
  'prompts/list': 0.2,
  'resources/list': 0.2,
  'resources/templates/list': 0.2,
};
const unplanned = seededRandom(Number(seed));

/** The mutated frames for a request; after most of them comes the right answer, after the others nothing. */
function framesFor(request: Json): Buffer[] {
  const { id, method, params } = request as { id: unknown; method: string; params?: Json };
  const result = Object.hasOwn(right, method) ? right[method] : undefined;
  const answer: Json = result === undefined ? { error: { code: -32_601, message: `Method not found: ${method}` } } : { result };
  const rightly = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, ...answer }));
  const plan = planOf(request as { method: string });
  if (plan === undefined)
    return chance(unplanned, wrongOnce[method] ?? 0) ? [mutated(unplanned, { jsonrpc: '2.0', id, ...answer }), rightly] : [rightly];
  const { random, frames } = plan;
  const token = (params?.['_meta'] as Json | undefined)?.['progressToken'];
  const wrong = Array.from({ length: frames }, () => mutated(random, frameFor(random, id, answer, token)));
  return chance(random, 0.99) ? [...wrong, rightly] : wrong;
}

/** Questions are answered to this server, notifications told to it; a request it does not take is one of the other era. */
function isForeign({ method }: Json): boolean {
  return modern ? method === 'initialize' : method === 'server/discover';
}

function serveStdio(): void {
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const message = JSON.parse(line) as Json;
      if (message['method'] === undefined || message['id'] === undefined || message['method'] === 'subscriptions/listen') return;
      const frames = isForeign(message) ? [refusal(message['id'])] : framesFor(message);
      for (const frame of frames) process.stdout.write(Buffer.concat([frame, Buffer.from('\n')]));
    })
    .on('close', () => process.exit(0));
}

const refusal = (id: unknown) => Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32_601, message: 'Method not found' } }));
const json = { 'content-type': 'application/json' };

async function post(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const message = JSON.parse(Buffer.concat(parts).toString()) as Json;
  if (message['method'] === undefined || message['id'] === undefined) return void response.writeHead(202).end();
  if (message['method'] === 'subscriptions/listen')
    return void response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  if (isForeign(message)) return void response.writeHead(400, json).end(refusal(message['id']));
  const frames = framesFor(message);
  const plan = planOf(message as { method: string });
  const session = message['method'] === 'initialize' ? { 'mcp-session-id': 'session' } : {};
  const how = plan === undefined ? 1 : plan.random();
  const [only = refusal(message['id'])] = frames;
  if (how < 0.05) return void response.writeHead(pick((plan as Plan).random, [400, 404, 429, 500, 503, 302, 202, 204]), json).end(only);
  if (how < 0.1) return void response.writeHead(200, { 'content-type': 'text/plain' }).end(only);
  if (how < 0.12) return void response.writeHead(200, { ...json, 'content-length': '5000' }).write(only, () => response.destroy());
  if (frames.length === 1) return void response.writeHead(200, { ...json, ...session }).end(only);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const frame of frames) response.write(Buffer.concat([Buffer.from('data: '), frame, Buffer.from('\n\n')]));
  response.end();
}

function serveHttp(): void {
  const server = createServer((request, response) => {
    if (request.method === 'POST') void post(request, response);
    else response.writeHead(request.method === 'DELETE' ? 204 : 405).end();
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`));
  process.stdin.resume().on('end', () => process.exit(0));
}

if (transport === 'stdio') serveStdio();
else serveHttp();
