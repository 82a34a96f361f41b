/**
 * An MCP server over stdio, revision 2025-11-25, whose tools ask their client back: what the gateway's clients of either
 * revision make of questions, log messages and subscriptions is tested before it.
 */
import { createInterface } from 'node:readline';

const seen = [];
const answers = new Map();
const subscribed = new Set();
let lastQuestion = 0;
let addedTools = 0;

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const text = (value) => ({ content: [{ type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value) }] });

function ask(method, params) {
  lastQuestion += 1;
  const id = `question-${lastQuestion}`;
  send({ id, method, params });
  return new Promise((resolve) => answers.set(id, resolve));
}

const form = (message) => ({ mode: 'form', message, requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } });

const questions = {
  elicitation: (message) => ask('elicitation/create', form(message)),
  sampling: (message) =>
    ask('sampling/createMessage', { messages: [{ role: 'user', content: { type: 'text', text: message } }], maxTokens: 9 }),
  roots: () => ask('roots/list', {}),
};

const annotated = {
  type: 'object',
  properties: {
    region: { type: 'string', 'x-mcp-header': 'Region' },
    inside: {
      type: 'object',
      properties: { count: { type: 'integer', 'x-mcp-header': 'Count' }, dry: { type: 'boolean', 'x-mcp-header': 'Dry' } },
    },
  },
};

const tools = {
  /** Puts these questions, all at once, and says what it heard. */
  ask: async ({ kinds = ['elicitation'] }) => text(await Promise.all(kinds.map((kind) => questions[kind](`${kind}?`)))),
  /** Puts one question after the other. */
  ask_in_turn: async ({ kinds }) => {
    const heard = [];
    for (const kind of kinds) heard.push(await questions[kind](`${kind}?`));
    return text(heard);
  },
  log: ({ levels }) => {
    for (const level of levels) send({ method: 'notifications/message', params: { level, data: `at ${level}` } });
    return text('logged');
  },
  touch: ({ uri }) => {
    if (subscribed.has(uri)) send({ method: 'notifications/resources/updated', params: { uri } });
    return text([...subscribed]);
  },
  grow: () => {
    addedTools += 1;
    send({ method: 'notifications/tools/list_changed' });
    return text('grown');
  },
  /** The methods of everything that this process was sent. */
  seen: () => text(seen),
  place: (args) => text(args),
  hang: () => new Promise(() => {}),
};

const results = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion: protocolVersion === '2025-11-25' ? protocolVersion : '2025-11-25',
    capabilities: { tools: { listChanged: true }, resources: { subscribe: true }, prompts: {}, logging: {} },
    serverInfo: { name: 'asking', version: '1.0.0' },
  }),
  ping: () => ({}),
  'logging/setLevel': () => ({}),
  'resources/subscribe': ({ uri }) => void subscribed.add(uri) ?? {},
  'resources/unsubscribe': ({ uri }) => void subscribed.delete(uri) ?? {},
  'tools/list': () => ({
    tools: [...Object.keys(tools), ...Array.from({ length: addedTools }, (_, index) => `added-${index}`)].map((name) => ({
      name,
      inputSchema: name === 'place' ? annotated : { type: 'object' },
    })),
  }),
  'resources/list': () => ({ resources: ['asking://one', 'asking://two'].map((uri) => ({ uri, name: uri })) }),
  'resources/read': async ({ uri }) => ({ contents: [{ uri, text: JSON.stringify(await questions.elicitation('read?')) }] }),
  'prompts/list': () => ({ prompts: [{ name: 'asking' }] }),
  'prompts/get': async () => {
    const heard = await questions.elicitation('prompt?');
    return { messages: [{ role: 'user', content: { type: 'text', text: JSON.stringify(heard) } }] };
  },
  'tools/call': ({ name, arguments: args = {} }) => tools[name](args),
};

async function receive(line) {
  const { id, method, params = {}, result, error } = JSON.parse(line);
  if (method === undefined) return answers.get(id)?.(result ?? { error });
  seen.push(method);
  if (id === undefined) return;
  const answer = results[method];
  if (answer === undefined) send({ id, error: { code: -32601, message: `Method not found: ${method}` } });
  else send({ id, result: await answer(params) });
}

createInterface({ input: process.stdin })
  .on('line', receive)
  .on('close', () => process.exit(0));
