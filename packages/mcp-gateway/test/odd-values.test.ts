import { expect, onTestFinished, test } from 'vitest';
import { Subscriptions } from '../src/wire/subscriptions.ts';
import { call, gatewayOver, textOf } from './gateway-over.ts';
import { discovered, ScriptedPipe, talkOver, welcome } from './scripted-pipe.ts';

/** JSON that `String` cannot make a text of. */
const odd = { toString: 1 };

/** A server that tells of a resource and logs in words that are none, before each answer to a call. */
const speaker = `
  const send = (message) => console.log(JSON.stringify({ jsonrpc: '2.0', ...message }));
  const results = {
    initialize: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'odd', version: '1' } },
    'tools/list': { tools: [{ name: 'speak', inputSchema: { type: 'object' } }] },
    'tools/call': { content: [{ type: 'text', text: 'spoken' }] },
  };
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, method } = JSON.parse(line);
    if (id === undefined) return;
    if (method === 'tools/call') {
      send({ method: 'notifications/resources/updated', params: { uri: ${JSON.stringify(odd)} } });
      send({ method: 'notifications/message', params: { level: ${JSON.stringify(odd)}, data: 'x' } });
    }
    send(results[method] === undefined ? { id, error: { code: -32601, message: 'unknown' } } : { id, result: results[method] });
  });
`;

test('a server that names a resource or a level with no text ends nothing', async () => {
  const faults: unknown[] = [];
  const caught = (error: unknown) => void faults.push(error);
  process.on('uncaughtException', caught);
  onTestFinished(() => void process.off('uncaughtException', caught));
  const gateway = await gatewayOver({ odd: { command: process.execPath, args: ['-e', speaker] } });
  await gateway.warmUp();
  expect(textOf(await call(gateway, 'odd__speak'))).toBe('spoken');
  expect(textOf(await call(gateway, 'odd__speak'))).toBe('spoken');
  expect(faults).toEqual([]);
});

test('nobody who listens hears of a resource whose address is no text', async () => {
  const subscriptions = new Subscriptions(async () => {});
  const told: unknown[] = [];
  const end = new AbortController();
  const filter = { resourceSubscriptions: ['test://a'] };
  const listening = subscriptions.listen(1, { tenant: 't', role: 'member' }, filter, (message) => told.push(message), end.signal);
  subscriptions.tell(() => true, { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: odd } });
  expect(told).toHaveLength(1); // the acknowledgement
  end.abort(new Error('enough'));
  await expect(listening).rejects.toThrow('enough');
});

test('a server that names its revisions with no text is not of the newer era', async () => {
  const answers = { 'server/discover': { result: { ...Object(discovered()).result, supportedVersions: [odd] } }, initialize: welcome() };
  const pipe = () => new ScriptedPipe('http', ({ method }) => answers[method as keyof typeof answers]);
  expect((await talkOver(pipe)).connection.stateless).toBe(false);
});
