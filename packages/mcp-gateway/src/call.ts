import type { JsonObject, RpcNotification } from './json-rpc.ts';

export type { Answer } from './json-rpc.ts';

/** On whose behalf a call is made. */
export interface Principal {
  /** Whose data, limits and budgets these are. */
  readonly tenant: string;
  /** Who of that tenant, where the credential says so. */
  readonly user?: string;
  /** `operator` also sees the numbers of every tenant. */
  readonly role: 'member' | 'operator';
}

/** What is called: a tool, a resource, a prompt, or the completion of an argument of one of them. */
export type CallKind = 'tool' | 'resource' | 'prompt' | 'completion';

/** One call on its way through the gateway, in no protocol's words: the codecs of both sides translate it. */
export interface Call {
  /** What is called. */
  readonly kind: CallKind;
  /** The name of the tool or prompt, or the address of the resource, as the client knows it. */
  readonly name: string;
  /** The configured name of the server that has it. */
  readonly server: string;
  /** The protocol's method. */
  readonly method: string;
  /** The method's parameters as the server expects them. */
  readonly params: JsonObject;
  /** For whom. */
  readonly principal: Principal;
  /** Follows the call through logs, ledger and metrics: 32 hexadecimal digits. */
  readonly traceId: string;
  /** Whether it may be made twice: a read, or a tool that was declared so. */
  readonly repeatable: boolean;
  /** Aborted when the client takes the call back. */
  readonly signal: AbortSignal;
  /** Sends the client a message about this call while it runs. */
  readonly notify: (notification: RpcNotification) => void;
}
