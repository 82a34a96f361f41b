import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';

// The cheapest MCP server there can be, so that what is measured is the way to it: `echo-server.js http` or `echo-server.js stdio`.

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: { readonly arguments?: { readonly text?: string }; readonly protocolVersion?: string };
}

const tool = { name: 'echo', inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } };

function resultOf({ method, params }: Message): unknown {
  if (method === 'tools/call') return { content: [{ type: 'text', text: params?.arguments?.text }] };
  if (method === 'tools/list') return { tools: [tool] };
  if (method !== 'initialize') return {};
  return { protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'echo', version: '1.0.0' } };
}

/** The answer to a message, or nothing for a notification. */
function answer(text: string): string | undefined {
  const message = JSON.parse(text) as Message;
  return message.id === undefined ? undefined : JSON.stringify({ jsonrpc: '2.0', id: message.id, result: resultOf(message) });
}

function overHttp(): void {
  const server = createServer((request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = answer(Buffer.concat(parts).toString());
      if (body === undefined) response.writeHead(202).end();
      else response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
    });
  });
  server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`));
  process.stdin.resume().once('end', () => process.exit()); // whoever started it is gone
}

function overStdio(): void {
  createInterface({ input: process.stdin }).on('line', (line) => {
    const text = answer(line);
    if (text !== undefined) process.stdout.write(`${text}\n`);
  });
}

if (process.argv[2] === 'http') overHttp();
else overStdio();
