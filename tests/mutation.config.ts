import everything from '../vitest.config.ts';

/** Tests of doors around the decisions: they take seconds, and catch nothing in a decision that its own tests do not. */
const ofDoors = [
  'packages/circuit-breaker/test/{breaker-fetch,classifiers,record-calls,registry,replay*,policy-file*,sdk-clients,telemetry}.*',
  'packages/rate-limit/test/{postgres*,redis*,processes*,telemetry}.*',
  'packages/rate-limit/test/follow-provider.test.ts',
  'packages/rate-limit/test/http/{adapters,frameworks,services}.*',
  'packages/cost-tracker/test/{processes,sqlite,postgres,sdk-clients,ai-sdk,meter-fetch,alerts,telemetry}*',
  'packages/cost-tracker/test/page/**',
];

/** What Stryker runs for each mutant: the fast tests beside the decision modules, not those of the whole set or of real processes. */
export default {
  ...everything,
  test: {
    ...everything.test,
    include: ['packages/{circuit-breaker,rate-limit,cost-tracker}/test/**/*.test.ts'],
    exclude: [...(everything.test?.exclude ?? []), '**/*.chaos.test.ts', ...ofDoors],
    reporters: [],
  },
};
