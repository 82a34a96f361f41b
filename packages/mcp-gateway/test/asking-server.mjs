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
  return new Promise((resolve, reject) => answers.set(id, { resolve, reject }));
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
  /** Asks, and can do without an answer. */
  ask_politely: () => questions.elicitation('elicitation?').then(text, () => text('never mind')),
  /** Puts one question after the other. */
  ask_in_turn: async ({ kinds }) => {
    const heard = [];
    for (const kind of kinds) heard.push(await questions[kind](`${kind}?`));
    return text(heard);
  },
  /** Asks, then tells progress and never answers. */
  ask_then_tick: async (_args, progressToken) => {
    await questions.elicitation('go on?');
    if (progressToken !== undefined) send({ method: 'notifications/progress', params: { progressToken, progress: 1 } });
    return new Promise(() => {});
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
  'tools/call': async ({ name, arguments: args = {}, _meta }) => {
    try {
      return await tools[name](args, _meta?.progressToken);
    } catch (error) {
      return { ...text(error), isError: true };
    }
  },
};

async function receive(line) {
  const { id, method, params = {}, result, error } = JSON.parse(line);
  if (method === undefined) {
    if (error === undefined) answers.get(id)?.resolve(result);
    else answers.get(id)?.reject(error);
    return;
  }
  seen.push(method);
  if (id === undefined) return;
  const answer = results[method];
  if (answer === undefined) send({ id, error: { code: -32601, message: `Method not found: ${method}` } });
  else send({ id, result: await answer(params) });
}

createInterface({ input: process.stdin })
  .on('line', receive)
  .on('close', () => process.exit(0));
