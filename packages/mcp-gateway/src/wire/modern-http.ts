import type { Principal } from '../call.ts';
import { type Answer, asText, isObject, type JsonObject, type RpcRequest, rpcCode } from '../json-rpc.ts';
import type { Router } from '../router.ts';
import { event, type HttpReply, type HttpRequest, type HttpStream, openEvents, sendJson } from './exchange.ts';
import { respond } from './legacy-session.ts';
import { meta, modernCode, modernRevisions } from './modern.ts';
import { BadAnnotation, decodeHeader, nameMember, parameterHeaders } from './modern-headers.ts';
import { type ModernServer, unsupportedVersion } from './modern-server.ts';

/** HTTP statuses of the errors that revision 2026-07-28 wants told by status too. */
const statusOf: Readonly<Record<number, number>> = {
  [modernCode.headerMismatch]: 400,
  [modernCode.missingClientCapability]: 400,
  [modernCode.unsupportedVersion]: 400,
  [rpcCode.methodNotFound]: 404,
};

/** The streamable HTTP endpoint of revision 2026-07-28: each request stands for itself. */
export class ModernHttp {
  readonly #server: ModernServer;
  readonly #router: Router;
  readonly #streams = new Set<HttpStream>();

  constructor(server: ModernServer, router: Router) {
    this.#server = server;
    this.#router = router;
  }

  /** Answers one request; a client that goes away has taken it back. */
  async post(message: RpcRequest, request: HttpRequest, reply: HttpReply, principal: Principal): Promise<void> {
    const gone = new AbortController();
    reply.onGone(() => gone.abort(new Error('the client has gone')));
    const problem = await this.#headerProblem(message, request, principal);
    if (gone.signal.aborted) return;
    if (problem !== undefined) return send(reply, message, problem, 400);
    let stream: HttpStream | undefined;
    const tell = (notification: unknown) => {
      stream ??= this.#open(reply);
      stream.write(event(notification));
    };
    let answer: Answer;
    try {
      answer = await this.#server.answer(message, { principal, tell, signal: gone.signal });
    } catch (error) {
      if (!gone.signal.aborted) throw error;
      stream?.end();
      return;
    }
    if (stream === undefined) return send(reply, message, answer, envelopeFault(message, answer) ? 400 : undefined);
    stream.write(event(respond(message.id, answer)));
    stream.end();
  }

  /** Ends all streams. */
  close(): void {
    for (const stream of [...this.#streams]) stream.end();
  }

  #open(reply: HttpReply): HttpStream {
    const stream = openEvents(reply);
    this.#streams.add(stream);
    stream.onClose(() => this.#streams.delete(stream));
    return stream;
  }

  /** Headers and body must say the same, so that nobody between client and server can be told something else. */
  async #headerProblem({ method, params = {} }: RpcRequest, request: HttpRequest, principal: Principal): Promise<Answer | undefined> {
    const { _meta } = params;
    const inBody = isObject(_meta) ? _meta[meta.protocolVersion] : undefined;
    const version = request.header('mcp-protocol-version');
    if (version === undefined) return mismatch('the header MCP-Protocol-Version is missing');
    if (inBody !== undefined && inBody !== version) return mismatch(`MCP-Protocol-Version says '${version}', the body '${asText(inBody)}'`);
    if (!modernRevisions.includes(version)) return unsupportedVersion(version);
    if (request.header('mcp-method') !== method) return mismatch(`Mcp-Method says '${request.header('mcp-method')}', the body '${method}'`);
    const member = nameMember(method);
    if (member === undefined || typeof params[member] !== 'string') return undefined;
    const name = request.header('mcp-name');
    if (name === undefined) return mismatch('the header Mcp-Name is missing');
    if (decodeHeader(name) !== params[member]) return mismatch(`Mcp-Name says '${name}', the body '${params[member]}'`);
    return method === 'tools/call' ? this.#parameterProblem(params, request, principal) : undefined;
  }

  async #parameterProblem(params: JsonObject, request: HttpRequest, principal: Principal): Promise<Answer | undefined> {
    const { _meta } = params;
    const capabilities = isObject(_meta) ? _meta[meta.clientCapabilities] : undefined;
    const tool = await this.#router.knownTool(principal, isObject(capabilities) ? capabilities : {}, asText(params['name']));
    for (const { header, path } of tool === undefined ? [] : annotated(tool)) {
      const value = path.reduce<unknown>((inside, part) => (isObject(inside) ? inside[part] : undefined), params['arguments']);
      const given = request.header(`mcp-param-${header.toLowerCase()}`);
      if (!says(given, value)) return mismatch(`Mcp-Param-${header} says '${given}', the body '${asText(value)}'`);
    }
    return undefined;
  }
}

/** Whether a header repeats a parameter: it is absent where the parameter is. */
function says(header: string | undefined, value: unknown): boolean {
  if (value === undefined || value === null) return header === undefined;
  const said = header === undefined ? undefined : decodeHeader(header);
  return said !== undefined && sameValue(said, value);
}

function annotated(tool: JsonObject): ReturnType<typeof parameterHeaders> {
  try {
    return parameterHeaders(tool['inputSchema']);
  } catch (error) {
    if (error instanceof BadAnnotation) return [];
    throw error;
  }
}

function sameValue(said: string, value: unknown): boolean {
  return typeof value === 'number' ? /^-?\d+(\.\d+)?$/.test(said) && Number(said) === value : said === asText(value);
}

function mismatch(message: string): Answer {
  return { error: { code: modernCode.headerMismatch, message: `Header mismatch: ${message}` } };
}

/** Whether a request lacked what every request of this revision has. */
function envelopeFault({ params }: RpcRequest, answer: Answer): boolean {
  const _meta = params?.['_meta'];
  const complete = isObject(_meta) && typeof _meta[meta.protocolVersion] === 'string' && isObject(_meta[meta.clientCapabilities]);
  return 'error' in answer && !complete;
}

function send(reply: HttpReply, { id }: RpcRequest, answer: Answer, status?: number): void {
  const code = 'error' in answer ? answer.error.code : 0;
  sendJson(reply, status ?? statusOf[code] ?? 200, respond(id, answer));
}
