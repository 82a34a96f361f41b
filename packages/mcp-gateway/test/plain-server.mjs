/**
 * A healthy MCP server of either revision, as fast as it can be: `plain-server.mjs legacy` listens over HTTP with sessions and
 * prints its address, `plain-server.mjs modern` serves 2026-07-28 over stdio. What a gateway makes of others is tested beside it.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const era = process.argv[2];
const modern = era === 'modern';
const object = { type: 'object' };
const text = (value) => ({ content: [{ type: 'text', text: typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing') }] });
const form = {
  method: 'elicitation/create',
  params: { message: 'Name?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } },
};
const capabilities = { tools: {}, resources: {}, prompts: {}, completions: {}, logging: {} };
const listed = { ttlMs: 0, cacheScope: 'private' };

/** `ask` puts a question and resolves with its answer, or throws an interim result. */
const tools = {
  echo: (args) => text(args),
  fail: () => ({ ...text('failed'), isError: true }),
  ask: async (_args, ask) => text(await ask()),
  place: (args) => text(args?.region ?? 'nowhere'),
};
const schemas = { place: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } } };

const results = {
  initialize: () => ({ protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'plain', version: '1' } }),
  'server/discover': () => ({ ...listed, supportedVersions: ['2026-07-28'], capabilities }),
  ping: () => ({}),
  'logging/setLevel': () => ({}),
  'tools/list': () => ({ ...listed, tools: Object.keys(tools).map((name) => ({ name, inputSchema: schemas[name] ?? object })) }),
  'resources/list': () => ({ ...listed, resources: [{ uri: `plain://${era}/one`, name: 'one' }] }),
  'resources/templates/list': () => ({ ...listed, resourceTemplates: [{ uriTemplate: `plain://${era}/{any}`, name: 'any' }] }),
  'resources/read': () => ({ ...listed, contents: [{ uri: `plain://${era}/one`, text: 'read' }] }),
  'prompts/list': () => ({ ...listed, prompts: [{ name: 'greet' }] }),
  'prompts/get': () => ({ messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }] }),
  'completion/complete': () => ({ completion: { values: ['one'] } }),
  'tools/call': ({ name, arguments: args }, ask) => {
    if (!Object.hasOwn(tools, name)) throw { code: -32602, message: 'no such tool' };
    return tools[name](args, ask);
  },
};

async function answer({ id, method, params = {} }, ask) {
  try {
    if (!Object.hasOwn(results, method)) throw { code: -32601, message: `Method not found: ${method}` };
    const { ttlMs, cacheScope, ...result } = await results[method](params, ask);
    const cached = ttlMs === undefined ? {} : { ttlMs, cacheScope };
    return { jsonrpc: '2.0', id, result: modern ? { resultType: 'complete', ...cached, ...result } : result };
  } catch (error) {
    if (error.interim !== undefined) return { jsonrpc: '2.0', id, result: error.interim };
    return { jsonrpc: '2.0', id, error: { code: error.code ?? -32603, message: error.message } };
  }
}

function askModern({ params }) {
  const given = params?.inputResponses?.name;
  if (given === undefined) throw { interim: { resultType: 'input_required', inputRequests: { name: form }, requestState: 'plain-state' } };
  return given;
}

function serveStdio() {
  createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const message = JSON.parse(line);
      if (message.method === undefined || message.id === undefined) return;
      process.stdout.write(`${JSON.stringify(await answer(message, () => askModern(message)))}\n`);
    })
    .on('close', () => process.exit(0));
}

const sessions = new Map();

async function post(request, response, message) {
  const session = sessions.get(request.headers['mcp-session-id']);
  if (message.method === 'initialize') {
    const id = randomUUID();
    sessions.set(id, new Map());
    response.setHeader('mcp-session-id', id);
  } else if (session === undefined) return void response.writeHead(404).end();
  if (message.method === undefined) session.get(message.id)?.(message.result ?? message.error);
  if (message.method === undefined || message.id === undefined) return void response.writeHead(202).end();
  let streaming = false;
  const event = (frame) => response.write(`data: ${JSON.stringify(frame)}\n\n`);
  const ask = () =>
    new Promise((resolve) => {
      const id = randomUUID();
      streaming = true;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      session.set(id, (said) => session.delete(id) && resolve(said));
      event({ jsonrpc: '2.0', id, ...form });
    });
  const frame = await answer(message, ask);
  if (streaming) {
    event(frame);
    response.end();
  } else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(frame));
}

function serveHttp() {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    if (request.method === 'DELETE') response.writeHead(sessions.delete(request.headers['mcp-session-id']) ? 204 : 404).end();
    else if (request.method !== 'POST') response.writeHead(405).end();
    else if (request.headers['mcp-method'] !== undefined) response.writeHead(400).end();
    else await post(request, response, JSON.parse(body));
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/mcp`));
  process.stdin.resume().on('end', () => process.exit(0));
}

if (modern) serveStdio();
else serveHttp();
