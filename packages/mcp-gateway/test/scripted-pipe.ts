import type { ClientQuestion, ClientSide } from '../src/call.ts';
import type { Answer, JsonObject, RequestId, RpcMessage, RpcNotification, RpcRequest } from '../src/json-rpc.ts';
import type { UpstreamError } from '../src/upstream-error.ts';
import { connect, type EraMemory } from '../src/wire/connect.ts';
import type { Connection } from '../src/wire/connection.ts';
import type { FrameProblem, Pipe, PipeListener } from '../src/wire/pipe.ts';

/** What a server does with a request: answers it, refuses the message as a whole, or says nothing. */
export type Reply = (request: RpcRequest, pipe: ScriptedPipe) => Answer | Error | undefined;

/** A pipe whose other end is the test: what was sent is in `sent`, `reply` answers, and `server` speaks by itself. */
export class ScriptedPipe implements Pipe {
  readonly cancelsByClosing: boolean;
  readonly sent: RpcMessage[] = [];
  readonly headers: (Readonly<Record<string, string>> | undefined)[] = [];
  readonly signals: (AbortSignal | undefined)[] = [];
  revision: string | undefined;
  closed = 0;
  opened = 0;
  #listener: PipeListener | undefined;
  readonly #reply: Reply;

  constructor(kind: 'http' | 'stdio', reply: Reply) {
    this.cancelsByClosing = kind === 'http';
    this.#reply = reply;
  }

  get server(): PipeListener {
    if (this.#listener === undefined) throw new Error('the pipe is not open');
    return this.#listener;
  }

  /** The requests with this method, or all. */
  requests(method?: string): RpcRequest[] {
    const all = this.sent.filter((message): message is RpcRequest => 'method' in message && 'id' in message);
    return method === undefined ? all : all.filter((request) => request.method === method);
  }

  /** The notifications with this method. */
  notifications(method: string): RpcNotification[] {
    return this.sent.filter(
      (message): message is RpcNotification => 'method' in message && !('id' in message) && message.method === method,
    );
  }

  /** What was answered to the server's own request. */
  answerTo(id: RequestId): RpcMessage | undefined {
    return this.sent.find((message) => !('method' in message) && message.id === id);
  }

  async open(listener: PipeListener): Promise<void> {
    this.opened += 1;
    this.#listener = listener;
  }

  async send(message: RpcMessage, signal?: AbortSignal, headers?: Readonly<Record<string, string>>): Promise<'sent'> {
    this.sent.push(message);
    this.headers.push(headers);
    this.signals.push(signal);
    if (!('method' in message && 'id' in message)) return 'sent';
    const reply = this.#reply(message, this);
    if (reply instanceof Error) throw reply;
    if (reply !== undefined) this.server.message({ jsonrpc: '2.0', id: message.id, ...reply }, message.id);
    return 'sent';
  }

  /** Answers a request late. */
  answer({ id }: RpcRequest, answer: Answer): void {
    this.server.message({ jsonrpc: '2.0', id, ...answer }, id);
  }

  negotiated(revision: string): void {
    this.revision = revision;
  }

  async close(): Promise<void> {
    this.closed += 1;
  }
}

export const discovered = (capabilities: JsonObject = { tools: {} }): Answer => ({
  result: {
    resultType: 'complete',
    supportedVersions: ['2026-07-28'],
    capabilities,
    instructions: 'be kind',
    _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'new', version: '2' } },
  },
});

export const welcome = (capabilities: JsonObject = { tools: {} }): Answer => ({
  result: { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'old', version: '1' } },
});

/** A conversation under test and everything that it tells. */
export interface Talk<P extends Pipe = ScriptedPipe> {
  readonly pipe: P;
  readonly connection: Connection;
  readonly notifications: RpcNotification[];
  readonly problems: FrameProblem[];
  readonly closed: UpstreamError[];
}

export interface TalkOptions {
  readonly memory?: EraMemory;
  readonly capabilities?: JsonObject;
  readonly bystander?: ClientSide;
  readonly signal?: AbortSignal;
  /** Takes what is told while the connection is being opened, too. */
  readonly closed?: UpstreamError[];
  readonly problems?: FrameProblem[];
}

/** Opens a conversation over what `openPipe` makes, the last of which is the conversation's. */
export async function talkOver<P extends Pipe>(
  openPipe: () => P,
  { memory = {}, capabilities = {}, bystander, signal = new AbortController().signal, closed = [], problems = [] }: TalkOptions = {},
): Promise<Talk<P>> {
  const notifications: RpcNotification[] = [];
  let pipe = undefined as unknown as P;
  const connection = await connect({
    server: 'files',
    openPipe: () => {
      pipe = openPipe();
      return pipe;
    },
    listener: {
      notification: (notification) => void notifications.push(notification),
      problem: (problem) => void problems.push(problem),
      closed: (error) => void closed.push(error),
      bystander: () => bystander,
    },
    clientInfo: { name: 'tidegate', version: '1' },
    capabilities,
    memory,
    signal,
  });
  return { pipe, connection, notifications, problems, closed };
}

/** A client that records what it is asked and told. */
export interface TestClient extends ClientSide {
  readonly asked: ClientQuestion[];
  readonly told: RpcNotification[];
}

export function testClient(
  rest: Partial<ClientSide> = {},
  respond: (question: ClientQuestion) => Promise<Answer> | Answer = () => ({ result: { action: 'accept', content: {} } }),
): TestClient {
  const asked: ClientQuestion[] = [];
  const told: RpcNotification[] = [];
  return {
    capabilities: {},
    modern: false,
    ask: async (question) => {
      asked.push(question);
      return respond(question);
    },
    notify: (notification) => void told.push(notification),
    ...rest,
    asked,
    told,
  };
}

export const never = () => new AbortController().signal;
