import type { ProviderQuota } from '../headers/parse.ts';
import { callsAtOnce } from '../rules/concurrency.ts';

/** One answer, as the evidence that it is. */
export interface Evidence {
  /** When its request was sent. */
  readonly sentAt: number;
  /** When it came. */
  readonly now: number;
  /** What had been sent up to and with its request, of the quota's unit. */
  readonly mark: number;
  /** What has been sent by now. */
  readonly sent: number;
}

/** What is believed of one quota of a provider. */
export interface Standing {
  readonly unit: string;
  readonly quota: number;
  /** What was left at `at`; below zero where more was sent than was there. */
  readonly level: number;
  readonly at: number;
  /** What comes back in each ms from `gainsFrom` on. */
  readonly perMs: number;
  readonly gainsFrom: number;
  /** When all of the quota is there again; Infinity where it comes back little by little, or nobody knows. */
  readonly fillsAt: number;
  /** When one request is sent whatever is believed, so that its answer says more. */
  readonly trialAt: number;
  /** The lowest that was said of this window. */
  readonly said: number;
  /** When the request was sent whose answer is believed, and what had been sent by then. */
  readonly sentAt: number;
  readonly mark: number;
}

/** A server has decided about a request that reached it after so many ms at the latest, however long its answer takes. */
export const decidedWithinMs = 1_000;

/** Resets are told in whole seconds, on both sides of a rounding. */
const sameWindowMs = 1_500;

/** How a quota comes back: little by little, all at once at its reset, or some of it then. */
type Return = 'refills' | 'fills' | 'steps';

/** What an answer alone says of a quota; undefined where it does not say what is left. */
export function standingOf(told: ProviderQuota, { sentAt, now, mark, sent }: Evidence, maxHoldMs: number): Standing | undefined {
  const { unit = 'requests', remaining } = told;
  if (remaining === undefined || unit === callsAtOnce) return undefined;
  const quota = Math.max(told.quota ?? Number.POSITIVE_INFINITY, remaining);
  const resetMs = told.resetMs ?? told.windowMs ?? maxHoldMs;
  // nearly one more may be left than is said; Anthropic tells a moment in whole seconds, others how long from when they decided
  const refill = rate(quota - remaining - 1, told.source === 'anthropic' ? now + resetMs - sentAt + 1_000 : resetMs);
  const comes = returnOf(told, refill > 0, Number.isFinite(quota) && resetMs <= maxHoldMs);
  const perMs = { refills: refill, fills: 0, steps: rate(quota, told.windowMs ?? 0) }[comes];
  const gainsFrom = comes === 'refills' ? Math.min(now, sentAt + decidedWithinMs) : now + resetMs;
  return {
    unit,
    quota,
    level: Math.min(quota, remaining + Math.max(0, now - gainsFrom) * perMs) - (sent - mark),
    at: now,
    perMs,
    gainsFrom,
    fillsAt: comes === 'fills' ? now + resetMs : Number.POSITIVE_INFINITY,
    trialAt: now + (comes === 'steps' ? Math.min(resetMs, maxHoldMs) : maxHoldMs),
    said: remaining,
    sentAt,
    mark,
  };
}

/** OpenAI and Anthropic tell when a bucket would be full; drafts 08 to 11 when there is some more; the others when a window ends. */
function returnOf({ source }: ProviderQuota, refills: boolean, fills: boolean): Return {
  if (source === 'openai' || source === 'anthropic') return refills ? 'refills' : 'steps';
  return source !== 'draft-08-11' && fills ? 'fills' : 'steps';
}

function rate(amount: number, ms: number): number {
  return Number.isFinite(amount) && ms > 0 ? amount / ms : 0;
}

/**
 * What is believed after one more answer. That of the request sent last is believed, but within one window of a provider the least that was
 * said; an answer that comes after that of a later request can only lower it, or tell of a later window.
 */
export function revised(old: Standing | undefined, next: Standing, { sent }: Evidence): Standing {
  if (old === undefined) return next;
  const windows = Number.isFinite(old.fillsAt) && Number.isFinite(next.fillsAt);
  const same = windows && Math.abs(next.fillsAt - old.fillsAt) < sameWindowMs && next.sentAt < old.fillsAt;
  const later = next.sentAt === old.sentAt ? next.mark >= old.mark : next.sentAt > old.sentAt;
  if (later) {
    const said = same ? Math.min(old.said, next.said) : next.said;
    return { ...next, said, level: next.level - (next.said - said) };
  }
  if (Number.isFinite(next.fillsAt) && !same) return next.fillsAt > old.fillsAt ? next : old; // of another window than the one believed
  const brought = next.level + (sent - next.mark) - (sent - old.mark); // what was sent between the two is in the later one
  return { ...old, said: Math.min(old.said, next.said), level: Math.min(levelAt(old, next.at), brought), at: next.at };
}

/** What is left at `now`. */
export function levelAt({ quota, level, at, perMs, gainsFrom }: Standing, now: number): number {
  return Math.min(quota, level + Math.max(0, now - Math.max(at, gainsFrom)) * perMs);
}

/** The standing once its window has ended: all is there again, until an answer says more. */
export function renewed(standing: Standing, now: number, sent: number, maxHoldMs: number): Standing {
  if (now < standing.fillsAt) return standing;
  const { quota } = standing;
  return {
    ...standing,
    level: quota,
    at: now,
    fillsAt: Number.POSITIVE_INFINITY,
    trialAt: now + maxHoldMs,
    said: quota,
    sentAt: now,
    mark: sent,
  };
}

/** Whether a request of this amount fits, when `claimed` is to be sent before it. */
export function fits(standing: Standing, amount: number, claimed: number, now: number): boolean {
  const need = Math.min(amount, standing.quota);
  return need <= 0 || levelAt(standing, now) - claimed >= need;
}

/** In how many ms a request of this amount may be sent, because it fits or to see whether it does. */
export function waitFor(standing: Standing, amount: number, claimed: number, now: number): number {
  if (fits(standing, amount, claimed, now)) return 0;
  const { quota, perMs, gainsFrom, at, level, fillsAt, trialAt } = standing;
  const need = Math.min(amount, quota);
  const missing = need + claimed - level;
  const gained = perMs > 0 && need + claimed <= quota ? Math.max(at, gainsFrom) + missing / perMs : Number.POSITIVE_INFINITY;
  return Math.max(0, Math.min(gained, fillsAt, trialAt) - now);
}

/** The standing once a request of this amount is sent. */
export function charged(standing: Standing, amount: number, now: number): Standing {
  return { ...standing, level: levelAt(standing, now) - amount, at: now };
}
