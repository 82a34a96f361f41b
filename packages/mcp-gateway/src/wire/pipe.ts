import type { RequestId, RpcMessage } from '../json-rpc.ts';
import type { UpstreamError } from '../upstream-error.ts';

/** The largest message that is read from a server or a client, in bytes. */
export const largestMessage = 16 * 1024 * 1024;

/** Something a server sent that is no message. Bounded: at most the first 200 characters are kept. */
export interface FrameProblem {
  /** What is wrong with it. */
  readonly problem: string;
  /** How it begins. */
  readonly sample: string;
  /** The id of the request that it seems to answer. */
  readonly id?: number;
}

/** What a pipe tells whoever speaks through it. */
export interface PipeListener {
  /** A message of the protocol; `replyTo` is the request whose answer it came with, where the pipe can tell. */
  message(message: RpcMessage, replyTo?: RequestId): void;
  /** Something that is none. */
  problem(problem: FrameProblem): void;
  /** The pipe has ended; nothing more comes. Told once. */
  closed(error: UpstreamError): void;
}

/** Carries messages to one server and back. Knows nothing of their meaning. */
export interface Pipe {
  /** Opens the pipe. Rejects with an {@link UpstreamError} where that cannot be, and with the signal's reason. */
  open(listener: PipeListener, signal: AbortSignal): Promise<void>;
  /**
   * Hands a message over. `'sent'` means that what comes of it arrives by itself; `'ended'` that everything that could come of
   * it has. Rejects with an {@link UpstreamError} where it could not be handed over or the server refused it.
   */
  send(message: RpcMessage, signal?: AbortSignal, headers?: Readonly<Record<string, string>>): Promise<'sent' | 'ended'>;
  /** Whether an aborted `send` tells the server by itself that the request is taken back. */
  readonly cancelsByClosing: boolean;
  /** Whether the transport is one of the revisions with a handshake alone, so that no server need be asked whether it is newer. */
  readonly legacyOnly?: boolean;
  /** The two sides have agreed on a revision of the protocol. */
  negotiated(revision: string): void;
  /** Ends the pipe and whatever it started. */
  close(): Promise<void>;
}
