import type { ServerResponse } from 'node:http';
import type { Message, Wire } from './fixture-toolset.mjs';

export interface HttpReplyOptions {
  kind: 'json' | 'sse';
  /** Sends half of the answer, then cuts the connection. */
  cut: boolean;
  /** Ends the server. */
  die: () => void;
}

/** The answer to one POST. Progress goes out as it comes, answers when the request is done. */
export class HttpReply implements Wire {
  #response: ServerResponse;
  #options: HttpReplyOptions;
  #pending = '';

  constructor(response: ServerResponse, options: HttpReplyOptions) {
    this.#response = response;
    this.#options = options;
  }

  send(message: Message): void {
    const sse = this.#options.kind === 'sse';
    if (message.method === undefined) this.#pending += sse ? sseEvent(message) : JSON.stringify(message);
    else if (sse) this.#open().write(sseEvent(message));
  }

  raw(text: string): void {
    this.#pending += text;
  }

  die(): void {
    if (this.#pending === '') this.#options.die();
    else this.#open().write(this.#pending, () => this.#options.die());
  }

  end(): void {
    const pending = this.#pending;
    if (this.#options.cut) this.#open().write(pending.slice(0, pending.length / 2), () => this.#response.destroy());
    // A cancelled request has no JSON-RPC answer, and a JSON body no way to say so.
    else if (pending === '' && this.#options.kind === 'json') this.#response.writeHead(202).end();
    else this.#open().end(pending);
  }

  #open(): ServerResponse {
    const type = this.#options.kind === 'sse' ? 'text/event-stream' : 'application/json';
    return this.#response.headersSent ? this.#response : this.#response.writeHead(200, { 'content-type': type });
  }
}

/** A message as an event of a `text/event-stream`. */
export function sseEvent(message: Message): string {
  return `event: message\ndata: ${JSON.stringify(message)}\n\n`;
}
