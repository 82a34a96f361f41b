import type { ChildProcess } from 'node:child_process';
import { Agent, request as send } from 'node:http';
import { createInterface } from 'node:readline';

/** Calls a tool that echoes, and fails where the answer is not what was sent. */
export type Call = () => Promise<void>;

const revision = '2025-11-25';
const opening = {
  method: 'initialize',
  params: { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'bench', version: '1.0.0' } },
};
const opened = { method: 'notifications/initialized' };

let lastId = 0;

/** A client that does as little as it can, over kept-alive connections: opens a session and calls one tool. */
export async function httpCall(url: string, tool: string, token: string | undefined): Promise<Call> {
  const agent = new Agent({ keepAlive: true });
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  const post = (message: object) =>
    new Promise<{ status: number; session: string | undefined; text: string }>((resolve, reject) => {
      const body = JSON.stringify({ jsonrpc: '2.0', ...message });
      const request = send(
        url,
        { method: 'POST', agent, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('end', () => {
            const session = response.headers['mcp-session-id'];
            resolve({
              status: response.statusCode ?? 0,
              session: typeof session === 'string' ? session : undefined,
              text: Buffer.concat(parts).toString(),
            });
          });
        },
      );
      request.once('error', reject);
      request.end(body);
    });
  const { session } = await post({ id: nextId(), ...opening });
  if (session !== undefined) headers['mcp-session-id'] = session;
  headers['mcp-protocol-version'] = revision;
  await post(opened);
  return async () => {
    const id = nextId();
    const { status, text } = await post({ id, ...callOf(tool, id) });
    check(text, id, status);
  };
}

/** The same over the standard streams of a server. */
export function stdioCall({ stdin, stdout }: ChildProcess, tool: string): Call {
  if (stdin === null || stdout === null) throw new Error('the server needs pipes');
  const waiting = new Map<number, (line: string) => void>();
  createInterface({ input: stdout }).on('line', (line) => {
    const { id } = JSON.parse(line) as { id: number };
    waiting.get(id)?.(line);
    waiting.delete(id);
  });
  const write = (message: object) => stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  write({ id: nextId(), ...opening });
  write(opened);
  return async () => {
    const id = nextId();
    const answer = new Promise<string>((resolve) => waiting.set(id, resolve));
    write({ id, ...callOf(tool, id) });
    check(await answer, id, 200);
  };
}

function nextId(): number {
  lastId += 1;
  return lastId;
}

function callOf(name: string, id: number): object {
  return { method: 'tools/call', params: { name, arguments: { text: `call ${id}` } } };
}

function check(text: string, id: number, status: number): void {
  if (status !== 200 || !text.includes(`"text":"call ${id}"`)) throw new Error(`call ${id} was answered with ${status} ${text}`);
}
