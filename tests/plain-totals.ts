import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run with its ten slowest files and one plain line that any CI can read: `N passed, N failed, N skipped`. */
export class PlainTotals implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const count = { passed: 0, failed: unhandled.length, skipped: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      // a file can fail without a failing test: it does not load, or a hook of it throws
      if (!module.ok() && tests.every((test) => test.result().state !== 'failed')) count.failed += 1;
      for (const test of tests) {
        const { state } = test.result();
        count[state === 'pending' ? 'skipped' : state] += 1;
      }
    }
    const slowest = [...modules].sort((a, b) => b.diagnostic().duration - a.diagnostic().duration).slice(0, 10);
    const rows = slowest.map((module) => `  ${(module.diagnostic().duration / 1000).toFixed(1).padStart(6)} s  ${module.relativeModuleId}`);
    const totals = `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`;
    // after the coverage table, so that this is the last line of the run
    process.once('exit', () => process.stdout.write(`\nSlowest files\n${rows.join('\n')}\n\n${totals}\n`));
  }
}
