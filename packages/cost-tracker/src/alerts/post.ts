import { AlertSinkError } from './sink.ts';

/** One POST to a receiver of alerts. */
export interface AlertPost {
  /** Who sends it, for errors. */
  readonly sink: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal: AbortSignal;
}

/** Posts an alert; whatever but a 2xx is an error. No redirect is followed: the address is the one the operator chose. */
export async function postAlert(send: typeof fetch, post: AlertPost, wall: () => number): Promise<void> {
  const { sink, url, headers, body, signal } = post;
  const response = await send(url, { method: 'POST', redirect: 'manual', headers, body, signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    // The error of a fetch may name the address, and an address may be a secret.
    throw new AlertSinkError(`sink '${sink}' could not be reached${codeOf(error)}`);
  });
  await response.body?.cancel().catch(() => {});
  if (response.ok) return;
  const { status } = response;
  if (mayChange(status)) {
    throw new AlertSinkError(`sink '${sink}' answered ${status}`, { retryAfterMs: retryAfterMs(response.headers, wall) });
  }
  throw new AlertSinkError(`sink '${sink}' answered ${status}, which no repetition will change`, { permanent: true });
}

/** Checks where alerts go: https, or http that does not leave this machine. The address is not shown, since it may be a secret. */
export function checkAddress(value: unknown, name: string): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
  const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
  if (url && safe && url.username === '' && url.password === '') return url;
  throw new RangeError(`${name} must be an https address, or one of http on this machine, without a user and a password`);
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function mayChange(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function retryAfterMs(headers: Headers, wall: () => number): number | undefined {
  const text = headers.get('retry-after')?.trim() ?? '';
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  if (Number.isNaN(at)) return undefined;
  // By the receiver's own clock where it tells the time, since ours may differ.
  const sentAt = Date.parse(headers.get('date') ?? '');
  return Math.max(0, at - (Number.isNaN(sentAt) ? wall() : sentAt));
}

function codeOf(error: unknown): string {
  const { code, cause } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown; cause?: { code?: unknown } };
  const found = [cause?.code, code].find((text) => typeof text === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(text));
  return found === undefined ? '' : ` (${String(found)})`;
}
