import type { ClientSide, Principal } from '../call.ts';
import type { Answer, JsonObject, RpcNotification } from '../json-rpc.ts';
import type { UpstreamError } from '../upstream-error.ts';
import type { FrameProblem } from './pipe.ts';

/** What a server said of itself. */
export interface ServerDescription {
  /** Its name and version. */
  readonly serverInfo: JsonObject;
  /** What it offers. */
  readonly capabilities: JsonObject;
  /** How to use it, for a model. */
  readonly instructions?: string;
}

/** On whose behalf a request is made, in the gateway's own terms. */
export interface Caller {
  /** Who calls. */
  readonly principal: Principal;
  /** Follows the call through logs, ledger and metrics: 32 hexadecimal digits. */
  readonly traceId: string;
}

/** How one request is carried out. */
export interface RequestOptions {
  /** Takes the request back. */
  readonly signal: AbortSignal;
  /** On whose behalf; a request of the gateway's own has nobody who could be asked or told. */
  readonly client?: ClientSide;
  /** What the server says of the tool that is called. */
  readonly tool?: JsonObject;
  /** On whose behalf, in the gateway's own terms. */
  readonly caller?: Caller;
  /** Told when there is a conversation, just before the request is sent. */
  readonly begun?: () => void;
}

/** A conversation with a server, whatever revision it speaks. */
export interface Connection {
  /** What the server said of itself. */
  readonly description: ServerDescription;
  /** Whether every request stands for itself (revision 2026-07-28), so that all of a tenant's clients may share the conversation. */
  readonly stateless: boolean;
  /** Whether what it last listed only stands in for what the server will list. */
  readonly provisional?: boolean;
  /** Rejects with an {@link UpstreamError}, or with the signal's reason after the server has been told. */
  request(method: string, params: JsonObject, options: RequestOptions): Promise<Answer>;
  /** Which resources the server is to tell changes of; replaces what was said before. */
  watch(uris: ReadonlySet<string>): Promise<void>;
  /** Ends the conversation and what it started. */
  close(): Promise<void>;
}

/** What a conversation tells unasked. */
export interface ConnectionListener {
  /** A notification that belongs to no request. */
  notification(notification: RpcNotification): void;
  /** Something that is no message. */
  problem(problem: FrameProblem): void;
  /** The conversation has ended without our doing. */
  closed(error: UpstreamError): void;
  /** A client that can be asked something outside any call. */
  bystander(): ClientSide | undefined;
}
