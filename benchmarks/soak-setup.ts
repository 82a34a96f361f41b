import fc from 'fast-check';

// A property that names its own number of runs multiplies it by TIDEGATE_RUNS itself; this is for those that name none.
const usualRuns = 100;

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  numRuns: usualRuns * Number(process.env['TIDEGATE_RUNS']),
  seed: Number(process.env['TIDEGATE_SEED']),
});
