/** An MCP server over stdio, revision 2026-07-28, with the extensions for tasks and user interfaces: raw JSON-RPC, so that a test sees each byte. */
import { createInterface } from 'node:readline';

const tasksExtension = 'io.modelcontextprotocol/tasks';
const meta = 'io.modelcontextprotocol/';
const name = process.argv[2] ?? 'tasks';
const tasks = new Map();
const seen = [];
const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const text = (value) => ({ content: [{ type: 'text', text: value }], resultType: 'complete' });
const times = { createdAt: '2026-11-20T12:00:00Z', lastUpdatedAt: '2026-11-20T12:00:00Z', ttlMs: 60_000 };

function call({ name: tool, arguments: args = {} }, capabilities) {
  if (tool === 'seen') return { result: text(JSON.stringify(seen)) };
  if (!capabilities?.extensions?.[tasksExtension]) return { result: text(`${name} at once`) };
  const taskId = 'task-1'; // every server of this kind uses the same
  tasks.set(taskId, { status: 'working', args });
  return { result: { resultType: 'task', taskId, status: 'working', ...times } };
}

function about(method, { taskId, inputResponses }) {
  const task = tasks.get(taskId);
  if (task === undefined) return { error: { code: -32_602, message: `no task ${taskId}` } };
  if (method === 'tasks/cancel') task.status = 'cancelled';
  if (method === 'tasks/update') Object.assign(task, { status: 'completed', inputResponses });
  if (method !== 'tasks/get') return { result: { resultType: 'complete' } };
  const result = task.status === 'completed' ? { result: text(`${name} done: ${JSON.stringify(task.inputResponses)}`) } : {};
  return { result: { resultType: 'complete', taskId, status: task.status, ...times, ...result } };
}

function answer({ method, params = {} }) {
  seen.push({ method, taskId: params.taskId, task: params.task });
  const capabilities = params._meta?.[`${meta}clientCapabilities`];
  switch (method) {
    case 'server/discover':
      return {
        result: {
          resultType: 'complete',
          supportedVersions: ['2026-07-28'],
          capabilities: { tools: {}, resources: {}, extensions: { [tasksExtension]: {}, 'io.modelcontextprotocol/ui': { from: name } } },
          ttlMs: 0,
          cacheScope: 'private',
        },
      };
    case 'tools/list': {
      const tools = ['work', 'seen'].map((tool) => ({
        name: tool,
        inputSchema: { type: 'object' },
        _meta: { ui: { resourceUri: `ui://${name}/page` } },
      }));
      return { result: { resultType: 'complete', tools, ttlMs: 0, cacheScope: 'private' } };
    }
    case 'resources/list': {
      const resources = [{ uri: `ui://${name}/page`, name: 'page', mimeType: 'text/html;profile=mcp-app' }];
      return { result: { resultType: 'complete', resources, ttlMs: 0, cacheScope: 'private' } };
    }
    case 'resources/read': {
      const contents = [{ uri: params.uri, mimeType: 'text/html;profile=mcp-app', text: '<p>', _meta: { ui: { csp: {} } } }];
      return { result: { resultType: 'complete', contents, ttlMs: 0, cacheScope: 'private' } };
    }
    case 'tools/call':
      return call(params, capabilities);
    case 'tasks/get':
    case 'tasks/update':
    case 'tasks/cancel':
      return about(method, params);
    default:
      return { error: { code: -32_601, message: 'Method not found' } };
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const message = JSON.parse(line);
  if (message.id !== undefined) send({ id: message.id, ...answer(message) });
});
