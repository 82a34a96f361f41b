import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Answers, HttpTap } from './wire.ts';

/** How tools and prompts are called on the two sides of a loopback. */
export interface Names {
  /** The server's name for what the caller calls by this one. */
  readonly toServer: (name: string) => string;
  /** The caller's name for what the server calls by this one. */
  readonly toCaller: (name: string) => string;
}

export interface LoopbackOptions {
  /** Address of the streamable HTTP endpoint behind it. */
  readonly target: string;
  /** Set on every request, whatever the caller sent. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly names?: Names;
  /** Sees the messages as the target hears and says them. */
  readonly tap?: HttpTap;
}

export interface Loopback extends AsyncDisposable {
  readonly url: string;
}

/** Puts a prefix before every name on the server's side, and takes it away on the caller's. */
export function prefixed(prefix: string): Names {
  return {
    toServer: (name) => prefix + name,
    toCaller: (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name),
  };
}

const plain: Names = { toServer: (name) => name, toCaller: (name) => name };
const unseen: HttpTap = () => () => {};

/**
 * Listens on the loopback address and passes every request on with additional headers and with other names for tools and
 * prompts: the suite can neither send a token nor call a tool by another name. All else goes through as it comes, the
 * `Host` and `Origin` of the caller too.
 */
export async function startLoopback({ target, headers = {}, names = plain, tap = unseen }: LoopbackOptions): Promise<Loopback> {
  const server = createServer((request, response) => {
    pass(request, response, { target, headers, names, tap }).catch((error: Error) => response.destroy(error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${new URL(target).pathname}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function pass(
  request: IncomingMessage,
  response: ServerResponse,
  { target, headers, names, tap }: Required<LoopbackOptions>,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const original = Buffer.concat(chunks).toString();
  const call = parse(original);
  const body = call === undefined ? original : JSON.stringify(renameCall(call, names.toServer));
  const outgoing: OutgoingHttpHeaders = { ...request.headers, ...headers };
  if (body !== '') outgoing['content-length'] = Buffer.byteLength(body);
  const mirrored = request.headers['mcp-name'];
  if (typeof mirrored === 'string' && isNamed(call)) outgoing['mcp-name'] = names.toServer(mirrored);
  const see = tap(request.headers, body);
  const onward = httpRequest(target, { method: request.method ?? 'GET', headers: outgoing, agent: false });
  response.once('close', () => onward.destroy());
  onward.end(body);
  const [answer] = (await once(onward, 'response')) as [IncomingMessage];
  const { 'content-length': _, ...rest } = answer.headers;
  response.writeHead(answer.statusCode ?? 502, rest);
  // A stream that has nothing to say yet must be seen to be open.
  response.flushHeaders();
  const type = answer.headers['content-type'] ?? '';
  const taken = type.includes('text/event-stream')
    ? eachLine(names, see)
    : whole(names, type.includes('application/json') ? see : () => {});
  await pipeline(answer, taken, response).catch(() => onward.destroy());
}

type Json = Record<string, unknown>;

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

const isNamed = (call: Json | undefined) => call?.['method'] === 'tools/call' || call?.['method'] === 'prompts/get';

function renameIn(holder: Json, rename: (name: string) => string): Json {
  return typeof holder['name'] === 'string' ? { ...holder, name: rename(holder['name']) } : holder;
}

function renameCall(call: Json, rename: (name: string) => string): Json {
  const { params } = call;
  if (!isObject(params)) return call;
  if (isNamed(call)) return { ...call, params: renameIn(params, rename) };
  const { ref } = params;
  const completesPrompt = call['method'] === 'completion/complete' && isObject(ref) && ref['type'] === 'ref/prompt';
  return completesPrompt ? { ...call, params: { ...params, ref: renameIn(ref, rename) } } : call;
}

function renameAnswer(message: Json, rename: (name: string) => string): Json {
  const { result } = message;
  if (!isObject(result)) return message;
  const lists = ['tools', 'prompts'].flatMap((list) => {
    const entries = result[list];
    return Array.isArray(entries) ? [[list, entries.map((entry: unknown) => (isObject(entry) ? renameIn(entry, rename) : entry))]] : [];
  });
  return { ...message, result: { ...result, ...Object.fromEntries(lists) } };
}

function renamed(text: string, names: Names): string {
  const message = parse(text);
  return message === undefined ? text : JSON.stringify(renameAnswer(message, names.toCaller));
}

function whole(names: Names, see: Answers): Transform {
  const chunks: Buffer[] = [];
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
    flush(done) {
      const text = Buffer.concat(chunks).toString();
      see(text);
      done(null, renamed(text, names));
    },
  });
}

/** Events go on as they come: a message is one `data` line, as all servers here write it. */
function eachLine(names: Names, see: Answers): Transform {
  let rest = Buffer.alloc(0);
  const rename = (line: string) =>
    line.replace(/^(data: ?)(.+)$/, (_, field: string, data: string) => {
      see(data);
      return field + renamed(data, names);
    });
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const bytes = Buffer.concat([rest, chunk]);
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      rest = bytes.subarray(end);
      done(null, bytes.subarray(0, end).toString().split('\n').map(rename).join('\n'));
    },
    flush(done) {
      done(null, rename(rest.toString()));
    },
  });
}

const NEWLINE = 0x0a;
