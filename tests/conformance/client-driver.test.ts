import { expect, test } from 'vitest';
import { clientDriverCommand } from './processes.ts';
import { runClientSuite } from './suite.ts';

test('the driver brings the gateway before the suite’s servers', { timeout: 200_000 }, async () => {
  const result = await runClientSuite({ command: clientDriverCommand, requirements: '2025-11-25' });
  process.stdout.write(`conformance, gateway as client, 2025-11-25: ${result.totals}\n`);
  const passed = [...result.scored, ...result.unscored].filter(({ status }) => status === 'passed').map(({ scenario }) => scenario);
  expect(passed).toEqual(expect.arrayContaining(['initialize', 'tools_call', 'json-schema-2020-12-preservation']));
});
