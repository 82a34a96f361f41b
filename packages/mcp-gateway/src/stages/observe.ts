import type { Call } from '../call.ts';
import type { CallEvent, Listeners } from '../events.ts';
import type { Stage } from '../pipeline.ts';
import { RefusedError, toRefusal } from '../refusal.ts';
import { UpstreamError } from '../upstream-error.ts';
import { succeeded } from './budget.ts';

/** Tells what became of every call and how long it took. */
export function observeStage(events: Listeners, now: () => number): Stage {
  return async (call, next) => {
    const startedAt = now();
    try {
      const answer = await next(call);
      events.emit('call', callEvent(call, now() - startedAt, { outcome: succeeded(answer) ? 'ok' : 'error' }));
      return answer;
    } catch (error) {
      const end = call.signal.aborted
        ? { outcome: 'cancelled' as const }
        : { outcome: 'refused' as const, code: toRefusal(error).code, problem: problemOf(error) };
      events.emit('call', callEvent(call, now() - startedAt, end));
      throw error;
    }
  };
}

function callEvent(call: Call, durationMs: number, end: Pick<CallEvent, 'outcome' | 'code' | 'problem'>): CallEvent {
  const { kind, name, counted, server, traceId, principal } = call;
  const { tenant, user } = principal;
  return { tenant, ...(user !== undefined && { user }), kind, name, counted, server, traceId, durationMs, ...end };
}

function problemOf(error: unknown): string {
  if (error instanceof UpstreamError && error.detail !== '') return `${error.message}; it said: ${error.detail}`;
  if (!(error instanceof Error)) return String(error);
  const signInUrl = error instanceof RefusedError ? error.refusal.details?.['signInUrl'] : undefined;
  // whoever has the link can go through the sign-in: it is for the caller alone
  return typeof signInUrl === 'string' ? error.message.replace(signInUrl, 'a link') : error.message;
}
