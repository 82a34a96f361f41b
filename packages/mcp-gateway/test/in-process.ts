import type { Gateway } from '../src/index.ts';
import type { HttpReply, HttpRequest } from '../src/wire/exchange.ts';

/** A request as it reaches the gateway, whatever bytes its body has. */
export interface Posted {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What came of it. */
export interface Heard {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The messages of the body or the stream; what is none is text. */
  readonly messages: readonly unknown[];
  /** How often the reply was begun: more than once is a defect. */
  readonly replies: number;
}

/** One exchange without a socket: over `handle` as node:http makes it. `told` sees the messages of a stream as they come. */
export function exchanged(gateway: Gateway, posted: Posted, told: (message: unknown) => void, cut: boolean): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const gone: (() => void)[] = [];
    const messages: unknown[] = [];
    let replies = 0;
    let over = false;
    const end = (status: number, headers: Readonly<Record<string, string>>) => {
      over = true;
      resolve({ status, headers, messages, replies });
    };
    const hear = (text: string) => {
      messages.push(parsed(text));
      told(messages.at(-1));
    };
    const reply: HttpReply = {
      send: (status, headers, body = '') => {
        replies += 1;
        if (body !== '') messages.push(parsed(body));
        end(status, headers);
      },
      stream: (status, headers) => {
        replies += 1;
        gone.push(() => end(status, headers));
        return {
          write: (text) => {
            for (const [, data = ''] of text.matchAll(/^data: (.+)$/gm)) hear(data);
          },
          end: () => {
            for (const fn of gone.splice(0)) fn();
          },
          onClose: (fn) => {
            if (over) fn();
            else gone.push(fn);
          },
        };
      },
      onGone: (fn) => void gone.push(fn),
    };
    gateway.handle(requestOf(posted), reply).catch(reject);
    if (cut) {
      setTimeout(() => {
        for (const fn of gone.splice(0)) fn();
        if (!over) end(0, {});
      }, 5);
    }
  });
}

function requestOf({ method, headers, body }: Posted): HttpRequest {
  return { method, path: '/mcp', query: '', header: (name) => headers[name], body: async () => body.toString('utf8') };
}

/** The same over `fetch`. */
export async function fetched(gateway: Gateway, { method, headers, body }: Posted): Promise<Heard> {
  const request = new Request('http://127.0.0.1/mcp', { method, headers, ...(method === 'POST' && { body: new Uint8Array(body) }) });
  const response = await gateway.fetch(request);
  const text = await response.text();
  const stream = response.headers.get('content-type') === 'text/event-stream';
  const messages = stream ? [...text.matchAll(/^data: (.+)$/gm)].map(([, data = '']) => data) : text === '' ? [] : [text];
  return { status: response.status, headers: Object.fromEntries(response.headers), messages: messages.map(parsed), replies: 1 };
}

export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
