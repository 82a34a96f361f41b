/** Whether the server may have acted on a call that has no answer. */
export type CarriedOut = 'no' | 'perhaps';

/** A server could not be reached, went away, or broke the protocol. */
export class UpstreamError extends Error {
  /** `UpstreamError` */
  override readonly name: string = 'UpstreamError';
  /** `ERR_UPSTREAM_UNAVAILABLE`: no connection or no answer. `ERR_UPSTREAM_PROTOCOL`: an answer that is none. */
  readonly code: 'ERR_UPSTREAM_UNAVAILABLE' | 'ERR_UPSTREAM_PROTOCOL';
  /** The configured name of the server. */
  readonly server: string;
  /** Whether the call may have been carried out. */
  readonly carriedOut: CarriedOut;
  /** How long the server asked to be left alone, in ms. */
  readonly retryAfterMs?: number;
  /** The HTTP status with which it refused. */
  readonly status?: number;
  /** What the server said: for the log, never for a client. */
  readonly detail: string;

  constructor(
    server: string,
    problem: string,
    details: {
      readonly carriedOut: CarriedOut;
      readonly code?: UpstreamError['code'];
      readonly retryAfterMs?: number | undefined;
      readonly cause?: unknown;
      readonly status?: number;
      readonly detail?: string;
    },
  ) {
    super(`server '${server}' ${problem}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code ?? 'ERR_UPSTREAM_UNAVAILABLE';
    this.server = server;
    this.carriedOut = details.carriedOut;
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
    if (details.status !== undefined) this.status = details.status;
    this.detail = details.detail ?? '';
  }
}

/** The server has forgotten the session; the call was not carried out. */
export class SessionExpiredError extends UpstreamError {
  constructor(server: string) {
    super(server, 'has forgotten the session', { carriedOut: 'no' });
  }
}

/** The server takes no calls of this caller, whatever it does for others; the call was not carried out. */
export class CallerRefusedError extends UpstreamError {
  constructor(server: string, problem: string, status: number, detail = '') {
    super(server, problem, { carriedOut: 'no', status, detail });
  }
}

/** Nobody takes calls there; the call was not sent. */
export class UnreachableError extends UpstreamError {
  constructor(server: string, problem: string, cause?: unknown) {
    super(server, problem, { carriedOut: 'no', cause });
  }
}

const neverSent = new WeakSet<object>();

/** Notes that the call that ended with this error had not been sent. */
export function noteNeverSent(error: unknown): void {
  if (typeof error === 'object' && error !== null) neverSent.add(error);
}

/** Whether a call that ended with `error` was certainly not carried out: refused before it was sent, or by the server's own word. */
export function certainlyNotCarriedOut(error: unknown): boolean {
  if (error instanceof UpstreamError) return error.carriedOut === 'no';
  if (typeof error === 'object' && error !== null && neverSent.has(error)) return true;
  return typeof error === 'object' && error !== null && (error as { code?: unknown }).code === 'ERR_CIRCUIT_OPEN';
}
