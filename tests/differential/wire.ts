/** What JSON-RPC messages are to somebody who only looks on. */
interface Message {
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: unknown;
}

/** The part that the transports of both lines of the SDK have in common. */
interface Transport {
  // biome-ignore lint/suspicious/noExplicitAny: the two lines name the types of their messages differently
  onmessage?: ((message: any, extra?: any) => void) | undefined;
}

/**
 * What a client receives, taken from its transport: the libraries drop members that they do not know, and forget a progress
 * handler before the last notification has reached it.
 */
export class Wire {
  #response: Message | undefined;
  #progress: unknown[] = [];

  /** Looks on from now; a client that connects later would not be seen. */
  constructor(transport: Transport) {
    const receive = transport.onmessage;
    transport.onmessage = (message: Message, extra) => {
      this.#note(message);
      receive?.call(transport, message, extra);
    };
  }

  /** The last response and all progress since it was last asked for. */
  take(): { readonly response: { result?: Record<string, unknown>; error?: unknown } | undefined; readonly progress: unknown[] } {
    const { result, error } = this.#response ?? {};
    const response = result !== undefined ? { result } : error !== undefined ? { error } : undefined;
    this.#response = undefined;
    return { response, progress: this.#progress.splice(0) };
  }

  #note(message: Message): void {
    if (message.method === undefined) this.#response = message;
    else if (message.method === 'notifications/progress') {
      const { progressToken: _own, ...told } = message.params ?? {};
      this.#progress.push(told);
    }
  }
}
