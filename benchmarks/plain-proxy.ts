import { Agent, createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';

// What no gateway on Node can be cheaper than: reads a message, takes the prefix off the tool's name, passes it on and the answer
// back. It asks for no token, keeps no limit, no ledger, no session and no metrics.

const target = new URL(process.argv[2] as string);
const agent = new Agent({ keepAlive: true });

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const message = JSON.parse(Buffer.concat(parts).toString()) as { params?: { name?: string } };
    if (message.params?.name !== undefined) message.params.name = message.params.name.replace(/^.*?__/, '');
    const body = JSON.stringify(message);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const forwarded = send(target, { method: 'POST', agent, headers }, (answer) => {
      const answered: Buffer[] = [];
      answer.on('data', (part: Buffer) => answered.push(part));
      answer.on('end', () => {
        const text = Buffer.concat(answered);
        response.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json', 'content-length': text.length }).end(text);
      });
    });
    forwarded.once('error', (error) => response.writeHead(502).end(error.message));
    forwarded.end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`));
process.stdin.resume().once('end', () => process.exit()); // whoever started it is gone
