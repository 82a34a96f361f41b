import { type Answer, type JsonObject, rpcCode } from './json-rpc.ts';

/** The `_meta` member that tells a program what a refused tool call's text tells a model. */
export const refusalKey = 'io.tidegate/refusal';

/** Why a call was not made or has no result: one shape for every cause. */
export interface Refusal {
  /** `ERR_…` */
  readonly code: string;
  /** The HTTP status that fits. */
  readonly status: number;
  /** One sentence for people and models. */
  readonly message: string;
  /** The limit, budget or circuit that refused. */
  readonly limit?: string;
  /** When the same call may be let through, in ms from now. */
  readonly retryAfterMs?: number;
  /** What a model can do about it, where waiting is not it. */
  readonly advice?: string;
  /** Facts of that cause for the HTTP problem body, such as a budget's sums. */
  readonly details?: JsonObject;
}

// One table for the whole gateway: what a code means in HTTP.
const statusOf: Readonly<Record<string, number>> = {
  ERR_RATE_LIMITED: 429,
  ERR_BUDGET_EXCEEDED: 403,
  ERR_CIRCUIT_OPEN: 503,
  ERR_TIMEOUT: 504,
  ERR_UPSTREAM_UNAVAILABLE: 502,
  ERR_UPSTREAM_PROTOCOL: 502,
  ERR_UNKNOWN_NAME: 404,
  ERR_CLOSED: 503,
  ERR_SIGN_IN_REQUIRED: 403,
  ERR_INVALID_ARGUMENTS: 400,
};

/** A refusal as an error: what a stage throws to end a call. */
export class RefusedError extends Error {
  /** `RefusedError` */
  override readonly name: string = 'RefusedError';
  /** `ERR_…` */
  readonly code: string;
  /** What the client is told. */
  readonly refusal: Refusal;

  constructor(refusal: Omit<Refusal, 'status'> & { readonly status?: number }, options?: ErrorOptions) {
    super(refusal.message, options);
    this.code = refusal.code;
    this.refusal = { ...refusal, status: refusal.status ?? statusOf[refusal.code] ?? 500 };
  }
}

/** What an error of a stage means to the client. Errors without a known code are the gateway's own fault: nothing of them is told. */
export function toRefusal(error: unknown): Refusal {
  if (error instanceof RefusedError) return error.refusal;
  const { code, message, limit, retryAfterMs } = (error ?? {}) as Partial<Record<keyof Refusal, unknown>>;
  const status = typeof code === 'string' ? statusOf[code] : undefined;
  if (status === undefined) return { code: 'ERR_INTERNAL', status: 500, message: 'the gateway failed; its log has the reason' };
  return {
    code: code as string,
    status,
    message: String(message),
    ...(typeof limit === 'string' && { limit }),
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
  };
}

/** A refused tool call as a result that a model can read and act on. */
export function asToolResult(refusal: Refusal): JsonObject {
  const { code, status, limit, retryAfterMs } = refusal;
  const wait =
    retryAfterMs === undefined ? 'Do not try again unless something has changed.' : `Try again in ${inWords(retryAfterMs)}, not before.`;
  const advice = refusal.advice ?? wait;
  return {
    content: [{ type: 'text', text: `The call was not completed: ${refusal.message} (${code}). ${advice}` }],
    isError: true,
    _meta: { [refusalKey]: { code, status, ...(limit !== undefined && { limit }), ...(retryAfterMs !== undefined && { retryAfterMs }) } },
  };
}

/** A refused request other than a tool call as a JSON-RPC error. */
export function asRpcError(refusal: Refusal, unknownName: number = rpcCode.invalidParams): Answer {
  const { code, status, message, retryAfterMs, details } = refusal;
  const rpc = code === 'ERR_UNKNOWN_NAME' ? unknownName : rpcCode.internalError;
  return { error: { code: rpc, message, data: { code, status, ...(retryAfterMs !== undefined && { retryAfterMs }), ...details } } };
}

/** A refusal as the body of an HTTP answer (RFC 9457, problem details). */
export function asProblem(refusal: Refusal): JsonObject {
  const { code, status, message, limit, retryAfterMs, details } = refusal;
  return {
    type: 'about:blank',
    title: message,
    status,
    code,
    ...(limit !== undefined && { limit }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...details,
  };
}

/** Whole seconds, rounded up, as `Retry-After` counts them. */
export function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1_000));
}

/** A wait as people say it, rounded up. */
function inWords(ms: number): string {
  const units = [
    [86_400, 'days'],
    [3_600, 'hours'],
    [60, 'minutes'],
  ] as const;
  const whole = seconds(ms);
  const [size, name] = units.find(([unit]) => whole >= 2 * unit) ?? [1, whole === 1 ? 'second' : 'seconds'];
  return `${Math.ceil(whole / size)} ${name}`;
}
