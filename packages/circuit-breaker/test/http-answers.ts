import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export type Answer = (response: ServerResponse, request: IncomingMessage) => void | Promise<void>;

/** A server on loopback for one test; `answer` may be exchanged while it runs. */
export async function serve(answer: Answer): Promise<{ url: string; requests: () => number; answer: (next: Answer) => void }> {
  let current = answer;
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    request.resume();
    void current(response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests: () => requests,
    answer: (next) => {
      current = next;
    },
  };
}

/** Sends a JSON body. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
}

/** Sends events of a `text/event-stream`, each after the one before was flushed, and then does what `then` does. */
export function events(
  list: ReadonlyArray<object | string>,
  then: (response: ServerResponse) => void = (response) => response.end(),
): Answer {
  return async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of list) {
      const { type } = event as { type?: string };
      const data = typeof event === 'string' ? event : JSON.stringify(event);
      await new Promise((resolve) => response.write(`${type === undefined ? '' : `event: ${type}\n`}data: ${data}\n\n`, resolve));
    }
    then(response);
  };
}
