/**
 * What every MCP fixture server answers, whatever carries it: revision 2025-11-25 written as raw JSON-RPC, so that a test
 * decides about each byte. Plain JavaScript, because the stdio fixture is a child process of any Node >= 20 and starts in
 * the time Node itself takes.
 */
import { findTool, toolDefinitions } from './fixture-tools.mjs';

const REVISIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

const RESOURCES = [
  { uri: 'fixture://text', name: 'text', mimeType: 'text/plain' },
  { uri: 'fixture://blob', name: 'blob', mimeType: 'application/octet-stream' },
  { uri: 'fixture://notes', name: 'notes', mimeType: 'text/plain' },
];

const PROMPTS = [
  { name: 'greet', description: 'Greets someone.', arguments: [{ name: 'name', description: 'whom', required: true }] },
  { name: 'plain', description: 'A prompt without arguments.' },
];

class RpcError extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** The state that all sessions of one server share: the counter, the tools added at run time, who is listening. */
export class FixtureToolset {
  count = 0;
  added = new Set();
  #sessions = new Set();

  constructor({ name = 'fixture', pageSize, record = () => {} } = {}) {
    this.name = name;
    this.pageSize = pageSize;
    this.record = record;
  }

  /** `notify` carries what belongs to no request, such as `list_changed`. */
  open(notify) {
    const session = new FixtureSession(this, notify, () => this.#sessions.delete(session));
    this.#sessions.add(session);
    return session;
  }

  addTool(name) {
    this.added.add(name);
    this.#announce();
  }

  removeTool(name) {
    if (this.added.delete(name)) this.#announce();
  }

  #announce() {
    for (const session of this.#sessions) session.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
  }
}

class FixtureSession {
  #toolset;
  #closed;
  #initialized = false;
  #running = new Map();

  constructor(toolset, notify, closed) {
    this.#toolset = toolset;
    this.notify = notify;
    this.#closed = closed;
  }

  close() {
    for (const call of this.#running.values()) call.abort('closed');
    this.#closed();
  }

  /** Resolves when everything that will ever be said about `message` has been sent to `wire`. */
  async handle(message, wire) {
    if (message.method === 'notifications/cancelled') this.#running.get(message.params?.requestId)?.abort('cancelled');
    if (message.id === undefined || typeof message.method !== 'string') return;
    const abort = new AbortController();
    this.#running.set(message.id, abort);
    try {
      const result = await this.#answer(message, wire, abort.signal);
      if (result !== undefined) wire.send({ jsonrpc: '2.0', id: message.id, result });
    } catch (error) {
      const { code = -32603, message: text, data } = error;
      wire.send({ jsonrpc: '2.0', id: message.id, error: { code, message: text, ...(data && { data }) } });
    } finally {
      this.#running.delete(message.id);
    }
  }

  #answer({ id, method, params = {} }, wire, signal) {
    if (method === 'initialize') return this.#initialize(params);
    if (method === 'ping') return {};
    if (!this.#initialized) throw new RpcError(-32600, `${method} before initialize`);
    switch (method) {
      case 'tools/list':
        return page('tools', toolDefinitions(this.#toolset), params.cursor, this.#toolset.pageSize);
      case 'tools/call':
        return this.#call(id, params, wire, signal);
      case 'resources/list':
        return page('resources', RESOURCES, params.cursor, 2);
      case 'resources/templates/list':
        return { resourceTemplates: [{ uriTemplate: 'fixture://item/{id}', name: 'item', mimeType: 'text/plain' }] };
      case 'resources/read':
        return { contents: [read(params.uri)] };
      case 'prompts/list':
        return page('prompts', PROMPTS, params.cursor, this.#toolset.pageSize);
      case 'prompts/get':
        return prompt(params);
      default:
        throw new RpcError(-32601, `Method not found: ${method}`);
    }
  }

  #initialize({ protocolVersion }) {
    this.#initialized = true;
    return {
      protocolVersion: REVISIONS.includes(protocolVersion) ? protocolVersion : REVISIONS[0],
      capabilities: { tools: { listChanged: true }, resources: {}, prompts: {} },
      serverInfo: { name: this.#toolset.name, version: '1.0.0' },
    };
  }

  #call(id, { name, arguments: args = {}, _meta }, wire, signal) {
    const tool = findTool(this.#toolset, name);
    if (!tool) throw new RpcError(-32602, `Unknown tool: ${name}`);
    this.#toolset.record({ event: 'call', tool: name, arguments: args });
    signal.addEventListener('abort', () => {
      if (signal.reason === 'cancelled') this.#toolset.record({ event: 'cancelled', tool: name, arguments: args });
    });
    const progress = (done, total) => {
      const progressToken = _meta?.progressToken;
      if (progressToken === undefined) return;
      wire.send({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: done, total } });
    };
    return tool.run(args, { id, wire, signal, progress, toolset: this.#toolset });
  }
}

function page(key, items, cursor = '0', size = items.length) {
  const start = Number(cursor);
  if (!Number.isInteger(start) || start < 0 || start >= items.length) throw new RpcError(-32602, `Invalid cursor: ${cursor}`);
  const end = start + size;
  return { [key]: items.slice(start, end), ...(end < items.length && { nextCursor: String(end) }) };
}

function read(uri) {
  if (uri === 'fixture://text') return { uri, mimeType: 'text/plain', text: 'text of the fixture' };
  if (uri === 'fixture://notes') return { uri, mimeType: 'text/plain', text: 'notes of the fixture' };
  if (uri === 'fixture://blob') return { uri, mimeType: 'application/octet-stream', blob: Buffer.from([0, 1, 2, 255]).toString('base64') };
  const item = /^fixture:\/\/item\/(.+)$/.exec(uri);
  if (!item) throw new RpcError(-32002, 'Resource not found', { uri });
  return { uri, mimeType: 'text/plain', text: `item ${item[1]}` };
}

function prompt({ name, arguments: args = {} }) {
  if (!PROMPTS.some((known) => known.name === name)) throw new RpcError(-32602, `Unknown prompt: ${name}`);
  if (name === 'greet' && args.name === undefined) throw new RpcError(-32602, 'Missing argument: name');
  const text = name === 'greet' ? `Say hello to ${args.name}.` : 'Say something plain.';
  return { messages: [{ role: 'user', content: { type: 'text', text } }] };
}
