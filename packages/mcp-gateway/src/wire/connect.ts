import type { Answer, JsonObject } from '../json-rpc.ts';
import { isObject } from '../json-rpc.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { Connection, ConnectionListener } from './connection.ts';
import { LegacyClient } from './legacy-client.ts';
import { modernCode, modernRevisions } from './modern.ts';
import { ModernClient } from './modern-client.ts';
import type { Pipe, PipeListener } from './pipe.ts';

/** Which revisions a server speaks: those without a handshake, or those with one. */
export type Era = 'modern' | 'legacy';

/** What is known of a server between its conversations. */
export interface EraMemory {
  /** Set by evidence only: an answer that one of the two eras must have given. */
  era?: Era | undefined;
}

/** How a conversation is opened. */
export interface ConnectOptions {
  readonly server: string;
  readonly openPipe: () => Pipe;
  readonly listener: ConnectionListener;
  readonly clientInfo: JsonObject;
  /** What the clients of a conversation with a handshake can be asked for. */
  readonly capabilities: JsonObject;
  readonly memory: EraMemory;
  readonly signal: AbortSignal;
}

/** How long a server that reads lines may take to say what it is, in ms; older ones may not answer at all. */
const probeMs = 3_000;

/**
 * Opens a conversation in whichever era the server speaks: asks `server/discover` first, and falls back to `initialize` where the
 * answer is none of revision 2026-07-28. Refusals for other reasons (401, 403, 429, 5xx, no connection) prove neither.
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const pipe = new Redirected(options.openPipe());
  try {
    if (options.memory.era !== 'legacy') {
      const modern = await tryModern(pipe, options);
      if (modern !== undefined) return modern;
    }
    const legacy = new LegacyClient(options.server, pipe, options.listener);
    await pipe.open(legacy);
    await legacy.begin(options.clientInfo, options.capabilities, options.signal);
    options.memory.era = 'legacy';
    return legacy;
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.code === 'ERR_UPSTREAM_PROTOCOL') options.memory.era = undefined;
    await pipe.close();
    throw error;
  }
}

async function tryModern(
  pipe: Redirected,
  { server, listener, clientInfo, memory, signal }: ConnectOptions,
): Promise<Connection | undefined> {
  const modern = new ModernClient(server, pipe, listener, clientInfo);
  await pipe.open(modern);
  const answer = await discovered(modern, pipe, signal);
  if (answer === undefined || !isModern(answer)) {
    memory.era = undefined;
    return undefined;
  }
  memory.era = 'modern';
  if ('error' in answer) {
    throw new UpstreamError(server, `refused server/discover: ${answer.error.message}`, {
      carriedOut: 'no',
      code: 'ERR_UPSTREAM_PROTOCOL',
    });
  }
  modern.begin(answer.result);
  return modern;
}

/** The answer to `server/discover`; undefined where the server gives none that counts. */
async function discovered(modern: ModernClient, pipe: Pipe, signal: AbortSignal): Promise<Answer | undefined> {
  const patience = pipe.cancelsByClosing ? signal : AbortSignal.any([signal, AbortSignal.timeout(probeMs)]);
  try {
    return await modern.discover(patience);
  } catch (error) {
    signal.throwIfAborted();
    // an HTTP server that does not know the method may refuse the whole request; 401, 403, 429 and 5xx say nothing of eras
    const silent =
      patience.aborted ||
      (error instanceof UpstreamError && error.status !== undefined && [400, 404, 405, 406, 415].includes(error.status));
    if (silent) return undefined;
    throw error;
  }
}

/** Whether an answer to `server/discover` can only come from a server of revision 2026-07-28 or a later one. */
function isModern(answer: Answer): boolean {
  if ('result' in answer) {
    const { supportedVersions } = answer.result;
    return Array.isArray(supportedVersions) && supportedVersions.some((version) => modernRevisions.includes(String(version)));
  }
  const { code, data } = answer.error;
  if (code !== modernCode.unsupportedVersion) return code === modernCode.headerMismatch || code === modernCode.missingClientCapability;
  const supported = isObject(data) ? data['supported'] : undefined;
  return Array.isArray(supported) && supported.some((version) => modernRevisions.includes(String(version)));
}

/** A pipe that is opened once and may change its listener: so the second era can be tried with the same process. */
class Redirected implements Pipe {
  readonly #pipe: Pipe;
  #listener: PipeListener | undefined;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  get cancelsByClosing(): boolean {
    return this.#pipe.cancelsByClosing;
  }

  async open(listener: PipeListener): Promise<void> {
    const opened = this.#listener !== undefined;
    this.#listener = listener;
    if (opened) return;
    await this.#pipe.open({
      message: (message, replyTo) => this.#listener?.message(message, replyTo),
      problem: (problem) => this.#listener?.problem(problem),
      closed: (error) => this.#listener?.closed(error),
    });
  }

  send(...args: Parameters<Pipe['send']>): ReturnType<Pipe['send']> {
    return this.#pipe.send(...args);
  }

  negotiated(revision: string): void {
    this.#pipe.negotiated(revision);
  }

  close(): Promise<void> {
    return this.#pipe.close();
  }
}
