import { useEffect, useState } from 'preact/hooks';
import { ApiError, get } from './api.ts';

/** What is known of some routes. */
export interface Live<T> {
  /** The last answers, of the same paths or of those asked before. */
  readonly data?: T;
  /** Why there are no newer ones. */
  readonly error?: Error;
  /** When the last answers came, in epoch milliseconds. */
  readonly at?: number;
}

/** Asks the routes now and again and again while the page is visible, until the paths change. */
export function useLive<T>(paths: Readonly<Record<keyof T, string>>, everyMs: number, again: unknown): Live<T> {
  const [live, setLive] = useState<Live<T>>({});
  const key = JSON.stringify(paths);
  useEffect(() => {
    const ended = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asking = false;
    const ask = async () => {
      clearTimeout(timer);
      if (asking || document.visibilityState !== 'visible') return;
      asking = true;
      const answer = await answers<T>(paths, ended.signal);
      asking = false;
      if (ended.signal.aborted) return;
      const refused = 'error' in answer && answer.error instanceof ApiError && answer.error.status === 401;
      // What was shown to somebody who is known no longer is kept for nobody.
      if (refused) return setLive({ error: answer.error });
      setLive((before) => ('error' in answer ? { ...before, error: answer.error } : { data: answer.data, at: Date.now() }));
      timer = setTimeout(ask, everyMs);
    };
    document.addEventListener('visibilitychange', ask);
    void ask();
    return () => {
      ended.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', ask);
    };
  }, [key, everyMs, again]);
  return live;
}

async function answers<T>(
  paths: Readonly<Record<keyof T, string>>,
  signal: AbortSignal,
): Promise<{ readonly data: T } | { readonly error: Error }> {
  try {
    const asked = Object.entries<string>(paths).map(async ([name, path]) => [name, await optional(path, signal)] as const);
    return { data: Object.fromEntries(await Promise.all(asked)) as T };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
}

/** A path that begins with `?` may be of a route that is not there. */
async function optional(path: string, signal: AbortSignal): Promise<unknown> {
  if (!path.startsWith('?')) return get(path, signal);
  try {
    return await get(path.slice(1), signal);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}
