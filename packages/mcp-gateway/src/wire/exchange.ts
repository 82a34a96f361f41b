/** One HTTP request, whatever server carries it. */
export interface HttpRequest {
  readonly method: string;
  /** The path, without the query. */
  readonly path: string;
  /** What follows the question mark, without it. */
  readonly query: string;
  /** A header by its lower-case name. */
  header(name: string): string | undefined;
  /** The body as text. Rejects with a {@link BodyTooLarge} as soon as it is longer than `most` bytes. */
  body(most: number): Promise<string>;
}

/** Where the answer to one request goes: either whole or as a stream. */
export interface HttpReply {
  send(status: number, headers: Readonly<Record<string, string>>, body?: string): void;
  stream(status: number, headers: Readonly<Record<string, string>>): HttpStream;
  /** Calls `fn` if the client goes away before the answer is complete. */
  onGone(fn: () => void): void;
}

/** An answer that is written bit by bit. */
export interface HttpStream {
  /** Writes, or closes the stream of a reader that is too far behind. */
  write(text: string): void;
  end(): void;
  /** Calls `fn` when the stream has ended, by whichever side. */
  onClose(fn: () => void): void;
}

/** How far behind the reader of a stream may be, in bytes. */
export const mostUnread = 8 * 1024 * 1024;

/** The request's body is larger than this gateway reads. */
export class BodyTooLarge extends Error {
  constructor(most: number) {
    super(`the body is larger than ${most} bytes`);
  }
}

/** A JSON answer. */
export function sendJson(reply: HttpReply, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
  reply.send(status, { 'content-type': 'application/json', ...headers }, JSON.stringify(body));
}

/** The headers of a stream of events. */
export const eventStream = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' };

/** How often a stream says that it is still there, in ms: proxies take long silence for its end. */
const aliveEveryMs = 25_000;

/** Answers with a stream of events, which is kept alive by comments. */
export function openEvents(reply: HttpReply): HttpStream {
  const stream = reply.stream(200, eventStream);
  const timer = setInterval(() => stream.write(':\n\n'), aliveEveryMs);
  timer.unref();
  stream.onClose(() => clearInterval(timer));
  return stream;
}

/** A message as an event of a stream. */
export function event(message: unknown): string {
  return `event: message\ndata: ${JSON.stringify(message)}\n\n`;
}

/** Whether the client takes answers of this media type. */
export function accepts(request: HttpRequest, type: string): boolean {
  const accept = request.header('accept') ?? '*/*';
  return accept.includes(type) || accept.includes('*/*') || accept.includes(`${type.split('/')[0]}/*`);
}
