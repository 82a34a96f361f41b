import { OpenStream } from '../stream.ts';

/**
 * Closes what a value holds open that nobody will be given: an iterator, a web stream, the body of a response. Not waited for;
 * errors of closing concern nobody.
 *
 * What can merely be disposed of is left alone: it may be a client that others use too.
 */
export function discard(value: unknown): void {
  close(value).catch(() => {});
}

async function close(value: unknown): Promise<void> {
  if (typeof value !== 'object' || value === null) return;
  if (value instanceof OpenStream) return void (await value.close());
  const { body, next } = value as Unwanted;
  if (typeof next === 'function') await (value as Unwanted).return?.();
  else if (isWebStream(body)) await body.cancel();
  else if (isWebStream(value)) await value.cancel();
}

function isWebStream(value: unknown): value is { cancel(): Promise<void> } {
  if (typeof value !== 'object' || value === null) return false;
  const { getReader, cancel } = value as Unwanted;
  return typeof getReader === 'function' && typeof cancel === 'function';
}

interface Unwanted {
  readonly body?: unknown;
  readonly getReader?: unknown;
  readonly cancel?: unknown;
  readonly next?: unknown;
  return?(): unknown;
}
