// A model that takes ten tokens for each letter of a prompt, and says so.
const complete = async (prompt: string, _signal: AbortSignal) => ({ text: 'an answer', usage: { totalTokens: 10 * prompt.length } });

import { concurrency, per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';

interface Caller {
  readonly tenant: string;
  readonly user: string;
}

const limiter = new RateLimiter<Caller>({
  key: ({ tenant }) => tenant,
  limits: [
    tokenBucket({ name: 'rpm', rate: per(500, 'minute'), reservationMs: 0 }), // exact when it is taken: nothing to settle
    tokenBucket({ name: 'tpm', unit: 'tokens', rate: per(30_000, 'minute'), burst: 10_000 }),
    concurrency({ name: 'in flight', limit: 2, key: ({ tenant, user }) => `${tenant}:${user}` }),
  ],
});

async function ask(caller: Caller, prompt: string): Promise<string> {
  const reservation = await limiter.reserve(caller, { cost: { tokens: 4_000 }, maxWaitMs: 30_000 }); // the most it may take
  try {
    const { text, usage } = await complete(prompt, reservation.signal);
    await reservation.settle({ tokens: usage.totalTokens });
    return text;
  } finally {
    await reservation.release(); // gives back what was reserved for a call that failed; does nothing after settle
  }
}

const mina = { tenant: 'acme', user: 'mina' };
await ask(mina, 'How high is the tide in Incheon this week, and why?');
const decision = await limiter.peek(mina, { cost: { tokens: 10_001 }, levels: true });
console.log(decision.levels?.map(({ name, remaining }) => `${name} ${remaining}`).join(', ')); // rpm …, tpm 9…, in flight 2
if (!decision.allowed) console.log(decision.permanent, decision.message); // true …
