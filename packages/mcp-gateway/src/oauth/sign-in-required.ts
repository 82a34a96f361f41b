import { randomUUID } from 'node:crypto';
import type { Answer, ClientSide } from '../call.ts';
import { isObject } from '../json-rpc.ts';
import { RefusedError } from '../refusal.ts';
import { UpstreamError } from '../upstream-error.ts';

/** A sign-in that somebody has to go through. */
export interface PendingSignIn {
  /** The page where it begins; undefined where the gateway does not know its own address. */
  readonly url: string | undefined;
  /** Resolves when it is done; rejects when it failed, was not gone through in time, or with the signal's reason. */
  done(signal: AbortSignal): Promise<void>;
}

/** The server takes no calls of this caller before he has signed in. */
export class SignInRequiredError extends UpstreamError {
  /** What is to be done. */
  readonly pending: PendingSignIn;
  /** The answer to the call once that has been done; undefined where it is to be made again. */
  readonly answer: Answer | undefined;

  constructor(server: string, pending: PendingSignIn, answer?: Answer) {
    super(server, 'wants its caller to sign in', { carriedOut: 'no', status: 401 });
    this.pending = pending;
    this.answer = answer;
  }
}

/** How often one call may lead to a sign-in: once to get in, and again where the server then wants more rights. */
const mostSignIns = 3;

/** Makes a call; where its server wants the caller to sign in first, has that done and makes it again. */
export async function signedIn(client: ClientSide, signal: AbortSignal, make: () => Promise<Answer>): Promise<Answer> {
  for (let signIns = 0; ; signIns += 1) {
    try {
      return await make();
    } catch (error) {
      if (!(error instanceof SignInRequiredError)) throw error;
      if (signIns === mostSignIns) throw refused(error.server, 'keeps asking for a sign-in', error.pending.url);
      await goThrough(error, client, signal);
      if (error.answer !== undefined) return error.answer;
    }
  }
}

/** Whether this client can send its user to a page. */
export function canOpenPages({ capabilities: { elicitation } }: ClientSide): boolean {
  return isObject(elicitation) && elicitation['url'] !== undefined;
}

async function goThrough({ server, pending }: SignInRequiredError, client: ClientSide, signal: AbortSignal): Promise<void> {
  const { url } = pending;
  if (url === undefined || !canOpenPages(client)) throw refused(server, 'wants you to sign in', url);
  const elicitationId = randomUUID();
  const message = `'${server}' wants you to sign in.`;
  const answer = await client.ask({ method: 'elicitation/create', params: { mode: 'url', message, url, elicitationId } });
  if ('error' in answer || answer.result['action'] !== 'accept') throw refused(server, 'wants a sign-in, which was declined', url);
  try {
    await pending.done(signal);
  } catch (error) {
    signal.throwIfAborted();
    throw refused(server, `wants a sign-in, which failed: ${(error as Error).message}`, url);
  }
  // revision 2026-07-28 has no such notification
  if (!client.modern) client.notify({ jsonrpc: '2.0', method: 'notifications/elicitation/complete', params: { elicitationId } });
}

function refused(server: string, problem: string, signInUrl: string | undefined): RefusedError {
  const where =
    signInUrl === undefined ? 'the gateway needs publicUrl in its configuration for that' : `sign in at ${signInUrl}, then call again`;
  return new RefusedError({
    code: 'ERR_SIGN_IN_REQUIRED',
    message: `server '${server}' ${problem}; ${where}`,
    ...(signInUrl !== undefined && { details: { signInUrl } }),
  });
}
