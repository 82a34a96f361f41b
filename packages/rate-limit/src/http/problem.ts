import type { Refused } from '../decision.ts';

/** What a refused request is answered with: problem details by RFC 9457, of the types in draft-ietf-httpapi-ratelimit-headers-11. */
export interface Problem {
  /** Which kind of problem, as a URI. */
  readonly type: string;
  /** The kind of problem in words. */
  readonly title: string;
  /** The status of the response. */
  readonly status: 413 | 429 | 503;
  /** Which limit, and what it lets through; not given where the store is what failed. */
  readonly detail?: string;
  /** The limits that refused, by the names that they have in the headers. */
  readonly 'violated-policies': readonly string[];
  /** As in the decision. */
  readonly code: Refused['code'];
  /** The limit that asks for the longest wait. */
  readonly limit: string;
  /** After how many ms the same request fits; absent where it never does. */
  readonly retryAfterMs?: number;
}

const types = 'https://iana.org/assignments/http-problem-types';

/** The media type of a {@link Problem}. */
export const problemJson = 'application/problem+json';

/**
 * What a refusal is answered with: 429, or 503 where the store that shares the limits cannot be asked.
 *
 * A permanent refusal is 413: with 429, with or without `Retry-After`, most clients send the same request again, which can never fit.
 */
export function problemOf({ code, limit, message, permanent, retryAfterMs }: Refused): Problem {
  const named = { 'violated-policies': [limit], code, limit };
  if (code === 'ERR_STORE_UNAVAILABLE') {
    const title = 'Request cannot be satisfied due to temporary server capacity constraints';
    return { type: `${types}#temporary-reduced-capacity`, title, status: 503, ...named, retryAfterMs };
  }
  const quota = { type: `${types}#quota-exceeded`, title: 'Request cannot be satisfied as assigned quota has been exceeded' };
  if (permanent) return { ...quota, status: 413, detail: message, ...named };
  return { ...quota, status: 429, detail: message, ...named, retryAfterMs };
}
