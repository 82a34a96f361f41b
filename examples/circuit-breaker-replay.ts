// Ten minutes of a recording, a call a second: in the third and fourth minute every call fails.
const calls = Array.from({ length: 600 }, (_, second) => ({
  startMs: second * 1_000,
  durationMs: 800,
  outcome: second >= 120 && second < 240 ? ('failure' as const) : ('success' as const),
}));

import { replayCalls } from '@tidegate/circuit-breaker/replay';

const window = { slidingWindow: { type: 'count', size: 20 }, minimumNumberOfCalls: 5 } as const;
const { policies } = replayCalls(calls, {
  policies: {
    patient: { ...window, waitDurationInOpenStateMs: 60_000 },
    curious: { ...window, waitDurationInOpenStateMs: 5_000 },
    'less and less': { ...window, waitDurationInOpenStateMs: 5_000, waitMultiplierInOpenState: 2 },
  },
});
for (const { label, failuresLetThrough, goodCallsRefused } of policies) {
  console.log(`${label}: ${failuresLetThrough} failures let through, ${goodCallsRefused} good calls refused`);
  // patient: 11 failures let through, 11 good calls refused
  // curious: 28 failures let through, 3 good calls refused
  // less and less: 14 failures let through, 49 good calls refused
}
