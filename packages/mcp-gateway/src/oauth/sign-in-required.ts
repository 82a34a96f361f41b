import { randomUUID } from 'node:crypto';
import type { Answer, ClientSide } from '../call.ts';
import { isObject } from '../json-rpc.ts';
import { RefusedError } from '../refusal.ts';
import { orAborted } from '../upstream.ts';
import { CallerRefusedError } from '../upstream-error.ts';

/** A sign-in that somebody has to go through. */
export interface PendingSignIn {
  /** The page where it begins; undefined where the gateway does not know its own address. */
  readonly url: string | undefined;
  /** Resolves when it is done; rejects when it failed, was not gone through in time, or with the signal's reason. */
  done(signal: AbortSignal): Promise<void>;
}

/** The server takes no calls of this caller before he has signed in. */
export class SignInRequiredError extends CallerRefusedError {
  /** What is to be done, and where, from now on; undefined where it has been done meanwhile. */
  readonly pending: () => PendingSignIn | undefined;
  /** The answer to the call once that has been done; undefined where it is to be made again. */
  readonly answer: Answer | undefined;

  constructor(server: string, pending: () => PendingSignIn | undefined, answer?: Answer) {
    super(server, 'wants its caller to sign in', 401);
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
      if (signIns === mostSignIns) throw refused(error.server, 'keeps asking for a sign-in', error.pending());
      await goThrough(error, client, signal);
      if (error.answer !== undefined) return error.answer;
    }
  }
}

/** Whether this client can send its user to a page. */
export function canOpenPages({ capabilities: { elicitation } }: ClientSide): boolean {
  return isObject(elicitation) && elicitation['url'] !== undefined;
}

async function goThrough({ server, pending: find }: SignInRequiredError, client: ClientSide, signal: AbortSignal): Promise<void> {
  const pending = find();
  if (pending === undefined) return;
  const { url } = pending;
  if (url === undefined || !canOpenPages(client)) throw refused(server, 'wants you to sign in', pending);
  const elicitationId = randomUUID();
  const message = `'${server}' wants you to sign in.`;
  const question = { method: 'elicitation/create', params: { mode: 'url', message, url, elicitationId } };
  const answer = await orAborted(client.ask(question), signal);
  if (find() === undefined) return; // it has been done in another window, whatever became of this one
  if ('error' in answer || answer.result['action'] !== 'accept') throw refused(server, 'wants a sign-in, which was declined', pending);
  try {
    await pending.done(signal);
  } catch (error) {
    signal.throwIfAborted();
    throw refused(server, `wants a sign-in, which failed: ${(error as Error).message}`, find());
  }
  // revision 2026-07-28 has no such notification
  if (!client.modern) client.notify({ jsonrpc: '2.0', method: 'notifications/elicitation/complete', params: { elicitationId } });
}

function refused(server: string, problem: string, pending: PendingSignIn | undefined): RefusedError {
  const signInUrl = pending?.url;
  const nowhere = pending === undefined ? 'call again' : 'the gateway needs publicUrl in its configuration for that';
  const where = signInUrl === undefined ? nowhere : `sign in at ${signInUrl}, then call again`;
  return new RefusedError({
    code: 'ERR_SIGN_IN_REQUIRED',
    message: `server '${server}' ${problem}; ${where}`,
    ...(signInUrl !== undefined && { details: { signInUrl } }),
  });
}
