import type { Answer, JsonObject, RpcNotification } from './json-rpc.ts';

export type { Answer } from './json-rpc.ts';

/** On whose behalf a call is made. */
export interface Principal {
  /** Whose data, limits and budgets these are. */
  readonly tenant: string;
  /** Who of that tenant, where the credential says so. */
  readonly user?: string;
  /** The virtual server as which he sees the gateway; undefined for all of it. */
  readonly virtualServer?: string | undefined;
  /** `operator` also sees the numbers of every tenant. */
  readonly role: 'member' | 'operator';
}

/** Whose something is: a whole tenant's, or that of one of its users. */
export interface Owner {
  /** Whose data, limits and budgets these are. */
  readonly tenant: string;
  /** Who of that tenant; undefined for all of it. */
  readonly user?: string | undefined;
}

/** Whether what is an owner's is also this caller's. */
export function isFor({ tenant, user }: Owner, principal: Principal): boolean {
  return principal.tenant === tenant && (user === undefined || principal.user === user);
}

/** What is called: a tool, a resource, a prompt, the completion of an argument of one of them, or a task that a call became. */
export type CallKind = 'tool' | 'resource' | 'prompt' | 'completion' | 'task';

/** What a server asks of a client while it works on the client's request. */
export interface ClientQuestion {
  /** `elicitation/create`, `sampling/createMessage` or `roots/list`. */
  readonly method: string;
  /** The method's parameters. */
  readonly params: JsonObject;
}

/** The client of a call, as far as it can be reached while the call runs. */
export interface ClientSide {
  /** What it declared that it can be asked for, in the protocol's words. */
  readonly capabilities: JsonObject;
  /** The least severe log messages it wants; undefined where it has not said. */
  readonly logLevel?: string | undefined;
  /** Whether it speaks revision 2026-07-28: it takes interim results as they are. */
  readonly modern: boolean;
  /** Puts a question to it; rejects when the call is called off. */
  readonly ask: (question: ClientQuestion) => Promise<Answer>;
  /** Sends it a notification about its call. */
  readonly notify: (notification: RpcNotification) => void;
}

/** One call on its way through the gateway, in no protocol's words: the codecs of both sides translate it. */
export interface Call {
  /** What is called. */
  readonly kind: CallKind;
  /** The name of the tool or prompt, or the address of the resource, as the client knows it. */
  readonly name: string;
  /** The configured name of the server that has it. */
  readonly server: string;
  /** What it is limited and counted as: of names without end, such as addresses that fit a template, all are one. */
  readonly counted: string;
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
  /** Who is asked and told while it runs. */
  readonly client: ClientSide;
  /** What the server says of the tool, if it is one. */
  readonly offered: JsonObject;
}
