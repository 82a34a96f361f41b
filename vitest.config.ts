import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { PlainTotals } from './tests/plain-totals.ts';

const conditions = ['@tidegate/source'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'tests/**/*.test.ts',
      'test-kit/test/**/*.test.ts',
      'examples/**/*.test.ts',
      'benchmarks/**/*.test.ts',
    ],
    exclude: ['**/node_modules/**', '**/dist/**'],
    setupFiles: process.env['PROPERTY_RUNS'] === undefined ? [] : ['tests/property-runs.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: Math.max(2, availableParallelism()),
    reporters: ['default', new PlainTotals()],
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: { 'packages/*/src/**/*.ts': { lines: 95 } },
    },
  },
});
