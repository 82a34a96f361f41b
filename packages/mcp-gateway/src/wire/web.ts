import { BodyTooLarge, type HttpReply, type HttpRequest, type HttpStream, mostUnread } from './exchange.ts';

/** Turns a handler of exchanges into a function from web-standard `Request` to `Response`. */
export function webHandler(handle: (request: HttpRequest, reply: HttpReply) => Promise<void>): (request: Request) => Promise<Response> {
  return (request) =>
    new Promise((resolve, reject) => {
      const gone: (() => void)[] = [];
      const goneAway = () => {
        for (const fn of gone) fn();
      };
      request.signal.addEventListener('abort', goneAway, { once: true });
      const reply: HttpReply = {
        send: (status, headers, body) => resolve(new Response(body ?? null, { status, headers })),
        stream: (status, headers) => {
          const { stream, body } = webStream(goneAway);
          resolve(new Response(body, { status, headers }));
          return stream;
        },
        onGone: (fn) => gone.push(fn),
      };
      handle(exchangeOf(request), reply).catch(reject);
    });
}

function exchangeOf(request: Request): HttpRequest {
  const url = new URL(request.url);
  return {
    method: request.method,
    path: url.pathname,
    query: url.search.slice(1),
    // a Request may be made without a Host header; its address then has it
    header: (name) => request.headers.get(name) ?? (name === 'host' ? url.host : undefined),
    body: (most) => bodyOf(request, most),
  };
}

async function bodyOf(request: Request, most: number): Promise<string> {
  if (request.body === null) return '';
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request.body as unknown as AsyncIterable<Uint8Array>) {
    parts.push(part);
    length += part.length;
    if (length > most) throw new BodyTooLarge(most);
  }
  return Buffer.concat(parts).toString('utf8');
}

function webStream(goneAway: () => void): { stream: HttpStream; body: ReadableStream<Uint8Array> } {
  const encoder = new TextEncoder();
  const closed: (() => void)[] = [];
  let open = true;
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const close = () => {
    if (!open) return;
    open = false;
    for (const fn of closed) fn();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start: (own) => {
        controller = own;
      },
      cancel: () => {
        goneAway();
        close();
      },
    },
    { highWaterMark: mostUnread, size: (chunk) => chunk.length },
  );
  const end = () => {
    if (open) controller?.close();
    close();
  };
  const stream: HttpStream = {
    write: (text) => {
      if (!open) return;
      controller?.enqueue(encoder.encode(text));
      if ((controller?.desiredSize ?? 0) < 0) end();
    },
    end,
    onClose: (fn) => {
      if (open) closed.push(fn);
      else fn();
    },
  };
  return { stream, body };
}
