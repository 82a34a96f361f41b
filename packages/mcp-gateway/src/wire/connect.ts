import type { Answer, JsonObject } from '../json-rpc.ts';
import { asText, isObject } from '../json-rpc.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { Connection, ConnectionListener } from './connection.ts';
import { LegacyClient } from './legacy-client.ts';
import { modernCode, modernRevisions } from './modern.ts';
import { ModernClient } from './modern-client.ts';
import { Outstanding } from './outstanding.ts';
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
  /** Names the server in errors. */
  readonly server: string;
  /** Makes a pipe to the server; not open yet. */
  readonly openPipe: () => Pipe;
  /** Makes a pipe of the transport that went before, where a server may know that one alone. */
  readonly openOlderPipe?: () => Pipe;
  /** Told of everything that belongs to no request. */
  readonly listener: ConnectionListener;
  /** What the server is told of this gateway. */
  readonly clientInfo: JsonObject;
  /** What the clients of a conversation with a handshake can be asked for. */
  readonly capabilities: JsonObject;
  /** What is known of the server's era, and kept up to date. */
  readonly memory: EraMemory;
  /** Ends the attempt. */
  readonly signal: AbortSignal;
}

/** How long a server that reads lines may take to say what it is, in ms; older ones may not answer at all. */
const probeMs = 3_000;

/**
 * Opens a conversation in whichever era the server speaks: asks `server/discover` first, and falls back to `initialize` where the
 * answer is none of revision 2026-07-28. Refusals for other reasons (401, 403, 429, 5xx, no connection) prove neither.
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const { memory, openPipe } = options;
  let pipe = new Redirected(openPipe(), options.server);
  try {
    let answered = pipe.legacyOnly;
    if (memory.era !== 'legacy' && !pipe.legacyOnly) {
      const probed = await tryModern(pipe, options);
      if (probed instanceof ModernClient) return probed;
      answered = probed === 'answered';
      if (pipe.ended) {
        // some servers end at what they do not know
        await pipe.close();
        pipe = new Redirected(openPipe(), options.server);
      }
    }
    return await begun(pipe, options, answered);
  } catch (error) {
    await pipe.close();
    return await begunOverOlder(options, error);
  }
}

/** The fallback of revision 2025-11-25 (Transports, Backwards Compatibility); `refusal` stands where the older transport cannot be opened. */
async function begunOverOlder(options: ConnectOptions, refusal: unknown): Promise<Connection> {
  const { openOlderPipe, server, signal } = options;
  const mayBeOlder = refusal instanceof UpstreamError && [400, 404, 405].includes(refusal.status ?? 0);
  if (openOlderPipe === undefined || !mayBeOlder || signal.aborted) throw refusal;
  const pipe = new Redirected(openOlderPipe(), server);
  try {
    return await begun(pipe, options, true);
  } catch (error) {
    await pipe.close();
    throw pipe.opened ? error : refusal;
  }
}

/** Shakes hands. A server that will not, and has not answered the probe, may have been too slow for it, or be newer than it was. */
async function begun(pipe: Redirected, options: ConnectOptions, answered: boolean): Promise<Connection> {
  const { server, listener, clientInfo, capabilities, memory, signal } = options;
  const legacy = new LegacyClient(server, pipe, listener, pipe.outstanding);
  await pipe.open(legacy, signal);
  let welcome: JsonObject;
  try {
    welcome = await legacy.initialize(clientInfo, capabilities, signal);
  } catch (error) {
    const refused = refusesMethod(error);
    if (refused || signal.aborted) memory.era = undefined;
    const probed = refused && !answered && !pipe.ended ? await tryModern(pipe, options) : undefined;
    if (probed instanceof ModernClient) return probed;
    throw error;
  }
  await legacy.begin(welcome, signal);
  memory.era = 'legacy';
  return legacy;
}

/** A conversation in revision 2026-07-28, or how the server showed that it is none of that. */
async function tryModern(
  pipe: Redirected,
  { server, listener, clientInfo, memory, signal }: ConnectOptions,
): Promise<ModernClient | 'answered' | 'silent'> {
  let open = false;
  const told: ConnectionListener = { ...listener, closed: (error) => open && listener.closed(error) };
  const modern = new ModernClient(server, pipe, told, clientInfo, pipe.outstanding);
  await pipe.open(modern, signal);
  const answer = await discovered(modern, pipe, signal);
  if (answer === 'refused' || answer === 'silent' || !isModern(answer)) {
    memory.era = undefined;
    return answer === 'silent' ? 'silent' : 'answered';
  }
  if ('error' in answer) {
    memory.era = undefined;
    throw new UpstreamError(server, `refused server/discover: ${answer.error.message}`, {
      carriedOut: 'no',
      code: 'ERR_UPSTREAM_PROTOCOL',
    });
  }
  memory.era = 'modern';
  open = true;
  modern.begin(answer.result);
  return modern;
}

/** The answer to `server/discover`, or how the server failed to give one that counts. */
async function discovered(modern: ModernClient, pipe: Redirected, signal: AbortSignal): Promise<Answer | 'refused' | 'silent'> {
  const patience = new AbortController();
  const timer = pipe.cancelsByClosing ? undefined : setTimeout(() => patience.abort(), probeMs);
  const onAbort = () => patience.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await modern.discover(patience.signal);
  } catch (error) {
    signal.throwIfAborted();
    if (patience.signal.aborted) return 'silent';
    if (pipe.ended || refusesMethod(error)) return 'refused';
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * Whether a server that does not know a method may fail so: with an answer that is none, or, over HTTP, by refusing the whole
 * request. 401, 403, 429 and 5xx say nothing of methods.
 */
function refusesMethod(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false;
  return error.code === 'ERR_UPSTREAM_PROTOCOL' || (error.status !== undefined && [400, 404, 405, 406, 415].includes(error.status));
}

/** Whether an answer to `server/discover` can only come from a server of revision 2026-07-28 or a later one. */
function isModern(answer: Answer): boolean {
  if ('result' in answer) {
    const { supportedVersions } = answer.result;
    return Array.isArray(supportedVersions) && supportedVersions.some((version) => modernRevisions.includes(asText(version)));
  }
  const { code, data } = answer.error;
  if (code !== modernCode.unsupportedVersion) return code === modernCode.headerMismatch || code === modernCode.missingClientCapability;
  const supported = isObject(data) ? data['supported'] : undefined;
  return Array.isArray(supported) && supported.some((version) => modernRevisions.includes(asText(version)));
}

/** A pipe that is opened once and may change its listener: so the second era can be tried with the same process. */
class Redirected implements Pipe {
  /** One count of ids for both eras: a late answer to the probe is no answer to the handshake. */
  readonly outstanding: Outstanding;
  readonly #pipe: Pipe;
  #listener: PipeListener | undefined;
  #opened = false;
  #ended = false;

  constructor(pipe: Pipe, server: string) {
    this.#pipe = pipe;
    this.outstanding = new Outstanding(server);
  }

  get opened(): boolean {
    return this.#opened;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get cancelsByClosing(): boolean {
    return this.#pipe.cancelsByClosing;
  }

  get legacyOnly(): boolean {
    return this.#pipe.legacyOnly === true;
  }

  async open(listener: PipeListener, signal: AbortSignal): Promise<void> {
    this.#listener = listener;
    if (this.#opened) return;
    const redirected: PipeListener = {
      message: (message, replyTo) => this.#listener?.message(message, replyTo),
      problem: (problem) => this.#listener?.problem(problem),
      closed: (error) => {
        this.#ended = true;
        this.#listener?.closed(error);
      },
    };
    await this.#pipe.open(redirected, signal);
    this.#opened = true;
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
