import everything from '../vitest.config.ts';

/** What Stryker runs for each mutant: the fast tests beside the decision modules, not those of the whole set or of real processes. */
export default {
  ...everything,
  test: {
    ...everything.test,
    include: ['packages/{circuit-breaker,rate-limit,cost-tracker}/test/**/*.test.ts'],
    exclude: [...(everything.test?.exclude ?? []), '**/*.chaos.test.ts'],
    reporters: [],
  },
};
