import type { Readable, Writable } from 'node:stream';
import type { Principal } from '../call.ts';
import { classify, type RpcMessage, type RpcNotification, rpcCode } from '../json-rpc.ts';
import type { Router } from '../router.ts';
import { type GatewayDescription, LegacySession, respond } from './legacy-session.ts';
import { Lines } from './lines.ts';
import { largestMessage } from './pipe.ts';

/** Serves the one client that started this process, over its standard streams. */
export class StdioEndpoint {
  readonly #router: Router;
  readonly #principal: Principal;
  readonly #describe: () => GatewayDescription;
  readonly #output: Writable;
  #session: LegacySession | undefined;
  #input: Readable | undefined;

  constructor(router: Router, principal: Principal, describe: () => GatewayDescription, output: Writable) {
    this.#router = router;
    this.#principal = principal;
    this.#describe = describe;
    this.#output = output;
  }

  /** Reads until the client closes its end or breaks off. */
  async serve(input: Readable): Promise<void> {
    const lines = new Lines(
      largestMessage,
      (line) => this.#receive(line),
      ({ problem }) => this.#write(respond(null, { error: { code: rpcCode.invalidRequest, message: `the client ${problem}` } })),
    );
    this.#input = input;
    this.#output.on('error', () => this.close());
    try {
      for await (const chunk of input) lines.push(chunk as Buffer);
    } catch {
      // a client that breaks off has ended too
    }
    this.#session?.close();
  }

  /** Reads no further. */
  close(): void {
    this.#input?.destroy();
  }

  /** Tells the client. */
  notify(notification: RpcNotification): void {
    if (this.#session !== undefined) this.#write(notification);
  }

  #receive(line: string): void {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      this.#write(respond(null, { error: { code: rpcCode.parseError, message: 'the line is not JSON' } }));
      return;
    }
    const classified = classify(value);
    if (classified.kind === 'notification') this.#session?.receive(classified.message);
    else if (classified.kind === 'invalid') {
      this.#write(respond(null, { error: { code: rpcCode.invalidRequest, message: `the line is ${classified.problem}` } }));
    } else if (classified.kind === 'request') {
      const { message } = classified;
      if (message.method === 'initialize') {
        this.#session = new LegacySession(this.#principal, this.#router, message.params ?? {});
        this.#write(respond(message.id, this.#session.welcome(this.#describe())));
      } else if (this.#session === undefined) {
        this.#write(respond(message.id, { error: { code: rpcCode.invalidRequest, message: 'begin with initialize' } }));
      } else {
        void this.#answer(this.#session, message);
      }
    }
  }

  async #answer(session: LegacySession, request: RpcMessage & { method: string; id: string | number }): Promise<void> {
    const response = await session
      .answer(request, (notification) => this.#write(notification))
      .catch(() => respond(request.id, { error: { code: rpcCode.internalError, message: 'the gateway failed; its log has the reason' } }));
    if (response !== undefined) this.#write(response);
  }

  #write(message: RpcMessage): void {
    this.#output.write(`${JSON.stringify(message)}\n`);
  }
}
