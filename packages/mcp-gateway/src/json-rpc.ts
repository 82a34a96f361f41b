/** A JSON object whose members are not known. */
export type JsonObject = { readonly [member: string]: unknown };

/** What ties a response to its request. */
export type RequestId = string | number;

/** A JSON-RPC 2.0 request. */
export interface RpcRequest {
  /** The version of JSON-RPC. */
  readonly jsonrpc: '2.0';
  /** Ties the response to this request. */
  readonly id: RequestId;
  /** The protocol's method. */
  readonly method: string;
  /** The method's parameters. */
  readonly params?: JsonObject;
}

/** A JSON-RPC 2.0 notification. */
export interface RpcNotification {
  /** The version of JSON-RPC. */
  readonly jsonrpc: '2.0';
  /** The protocol's method. */
  readonly method: string;
  /** The method's parameters. */
  readonly params?: JsonObject;
}

/** The error member of a JSON-RPC 2.0 response. */
export interface RpcError {
  /** A code of JSON-RPC, of the protocol, or of the server. */
  readonly code: number;
  /** One sentence. */
  readonly message: string;
  /** Whatever else the sender has to say. */
  readonly data?: unknown;
}

/** What a request is answered with: one of the two. */
export type Answer = Success | Failure;

/** The answer of a request that succeeded. */
export interface Success {
  /** The method's result. */
  readonly result: JsonObject;
}

/** The answer of a request that failed. */
export interface Failure {
  /** Why it failed. */
  readonly error: RpcError;
}

/** What every JSON-RPC 2.0 response has beside its answer. */
export interface RpcResponseHead {
  /** The version of JSON-RPC. */
  readonly jsonrpc: '2.0';
  /** The request it answers; absent where that cannot be told, for which JSON-RPC itself has null. */
  readonly id?: RequestId | null;
}

/** A JSON-RPC 2.0 response. */
export type RpcResponse = RpcResponseHead & Answer;

/** Any message of the protocol. */
export type RpcMessage = RpcRequest | RpcNotification | RpcResponse;

/** Codes of JSON-RPC 2.0 and of the protocol. */
export const rpcCode = {
  parseError: -32_700,
  invalidRequest: -32_600,
  methodNotFound: -32_601,
  invalidParams: -32_602,
  internalError: -32_603,
  resourceNotFound: -32_002,
} as const;

/** How deep a message may be nested: reading has no bound of its own, writing what was read does. */
export const mostDepth = 500;

/** Whether a value has more than so many objects and arrays within each other. */
export function deeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => deeperThan(levels - 1, member));
}

/** Whether `value` is a JSON object, not an array and not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A message of the protocol, or why it is none and, where it seems to be a request, the id under which it can be refused. */
export type Classified =
  | { readonly kind: 'request'; readonly message: RpcRequest }
  | { readonly kind: 'notification'; readonly message: RpcNotification }
  | { readonly kind: 'response'; readonly message: RpcResponse }
  | { readonly kind: 'invalid'; readonly problem: string; readonly id?: RequestId };

/** A value of unknown kind as text; `String` would ask an object for a `toString` that may be anything. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
}

/** Which message `value` is, or why it is none. */
export function classify(value: unknown): Classified {
  const classified = kindOf(value);
  if (classified.kind !== 'invalid' || !isObject(value) || !isId(value['id'])) return classified;
  const answers = !('method' in value) && ('result' in value || 'error' in value);
  return answers ? classified : { ...classified, id: value['id'] };
}

function kindOf(value: unknown): Classified {
  if (!isObject(value))
    return { kind: 'invalid', problem: Array.isArray(value) ? 'a batch, which this protocol does not have' : 'not a JSON object' };
  if (deeperThan(mostDepth, value)) return { kind: 'invalid', problem: `nested more than ${mostDepth} levels deep` };
  if (value['jsonrpc'] !== '2.0') return { kind: 'invalid', problem: 'its member \'jsonrpc\' is not "2.0"' };
  if ('method' in value) return classifyCall(value);
  const ofNone = value['id'] === null || (value['id'] === undefined && !('result' in value));
  if (!isId(value['id']) && !ofNone) return { kind: 'invalid', problem: 'a response without an id' };
  const { result, ...rest } = value;
  if (isResult(result)) return { kind: 'response', message: value as unknown as RpcResponse };
  // beside an error some servers write a result of null
  if (isRpcError(value['error'])) return { kind: 'response', message: rest as unknown as RpcResponse };
  return { kind: 'invalid', problem: 'a response with neither a result object nor an error' };
}

function classifyCall(value: JsonObject): Classified {
  if (typeof value['method'] !== 'string') return { kind: 'invalid', problem: "its member 'method' is not a string" };
  if (value['params'] !== undefined && !isObject(value['params']))
    return { kind: 'invalid', problem: "its member 'params' is not an object" };
  if (!('id' in value)) return { kind: 'notification', message: value as unknown as RpcNotification };
  if (!isId(value['id'])) return { kind: 'invalid', problem: "its member 'id' is neither a string nor a whole number" };
  return { kind: 'request', message: value as unknown as RpcRequest };
}

function isId(value: unknown): value is RequestId {
  return typeof value === 'string' || Number.isInteger(value);
}

function isRpcError(value: unknown): value is RpcError {
  return isObject(value) && Number.isInteger(value['code']) && typeof value['message'] === 'string';
}

function isResult(value: unknown): value is JsonObject {
  return isObject(value) && (value['_meta'] === undefined || isObject(value['_meta']));
}
