import type { Policy } from '../execution.ts';
import { functionOf } from '../options.ts';
import { type PolicyRole, role } from '../policy-role.ts';

/** Orders that undo what the outer policy is for. */
const wrong: ReadonlyArray<{ readonly outer: PolicyRole; readonly inner: PolicyRole; readonly because: string }> = [
  { outer: 'circuit-breaker', inner: 'retry', because: 'the breaker would count a retried success and never see the failures before it' },
  { outer: 'circuit-breaker', inner: 'fallback', because: 'the breaker would count the substitute and never see the failure' },
  { outer: 'retry', inner: 'fallback', because: 'the retry would be handed the substitute and never try again' },
  { outer: 'hedge', inner: 'retry', because: 'every hedge would retry by itself and multiply the calls' },
  { outer: 'hedge', inner: 'fallback', because: 'a substitute would win over an answer that is still to come' },
  ...(['fallback', 'retry', 'circuit-breaker', 'bulkhead', 'hedge', 'timeout'] as const).map((inner) => ({
    outer: 'chaos' as const,
    inner,
    because: 'what chaos does outside of a policy is not seen by it',
  })),
];

/** Throws a RangeError where the first of two policies would undo what the other is for; the first policy is the outermost. */
export function checkOrder(policies: readonly Policy[]): void {
  for (const policy of policies) functionOf('pipeline: execute of each of the policies', policy?.execute);
  const roles = policies.map((policy) => (policy as { readonly [role]?: PolicyRole })[role]);
  for (const { outer, inner, because } of wrong) {
    const at = roles.indexOf(outer);
    if (at >= 0 && roles.includes(inner, at + 1)) {
      throw new RangeError(`pipeline: ${inner} stands inside ${outer}; write pipeline(…, ${inner}, …, ${outer}, …): ${because}`);
    }
  }
}
