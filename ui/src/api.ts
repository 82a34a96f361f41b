import { token } from './token.ts';

/** What a route says that does not answer. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

interface Known {
  readonly etag: string | null;
  readonly value: unknown;
}

const base = () => document.documentElement.dataset['api'] ?? '../api';
const known = new Map<string, Known>();
const mostKnown = 200;

/** Forgets every answer: they were somebody else's. */
export function forgetAnswers(): void {
  known.clear();
}

/** Asks a route; what has not changed since the last time is the same object as then. */
export async function get(path: string, signal: AbortSignal): Promise<unknown> {
  const before = known.get(path);
  const response = await ask(path, signal, before?.etag ?? undefined);
  if (response.status === 304 && before) return before.value;
  const value: unknown = await response.json();
  known.delete(path);
  known.set(path, { etag: response.headers.get('etag'), value });
  if (known.size > mostKnown) known.delete(known.keys().next().value as string);
  return value;
}

/** Saves what a route answers as a file. */
export async function download(path: string, file: string, signal: AbortSignal): Promise<void> {
  const url = URL.createObjectURL(await (await ask(path, signal)).blob());
  const link = document.createElement('a');
  link.href = url;
  link.download = file;
  link.click();
  // The browser has taken hold of it by the next turn.
  setTimeout(() => URL.revokeObjectURL(url));
}

async function ask(path: string, signal: AbortSignal, etag?: string): Promise<Response> {
  const headers = new Headers();
  const bearer = token();
  if (bearer !== undefined) headers.set('authorization', `Bearer ${bearer}`);
  if (etag !== undefined) headers.set('if-none-match', etag);
  const response = await fetch(new URL(`${base()}/${path}`, document.baseURI), { headers, signal, cache: 'no-store' });
  if (response.ok || response.status === 304) return response;
  throw new ApiError(response.status, await detailOf(response));
}

async function detailOf(response: Response): Promise<string> {
  try {
    const { detail } = (await response.json()) as { detail?: unknown };
    if (typeof detail === 'string') return detail;
  } catch {
    // No problem+json: another server stands in between.
  }
  return `the server answered ${response.status}`;
}
