import { expect, test } from 'vitest';
import { clientDriverCommand } from './processes.ts';
import { runClientSuite } from './suite.ts';

/**
 * Rows of extensions, which are run and not scored: grants for machines (client credentials, JWT bearer, workload identity, an
 * enterprise's identity provider) and tokens that are bound to a key (DPoP). The gateway has its users sign in; it offers none of these.
 */
const notOffered = [
  'auth/client-credentials-basic',
  'auth/client-credentials-jwt',
  'auth/dpop',
  'auth/dpop-nonce',
  'auth/enterprise-managed-authorization',
  'auth/wif-jwt-bearer',
];

test.each([
  ['2025-11-25', 18],
  ['2026-07-28', 32],
] as const)('as a client of %s the gateway passes all %i scored scenarios', { timeout: 300_000 }, async (requirements, scenarios) => {
  const result = await runClientSuite({ command: clientDriverCommand, requirements });
  process.stdout.write(`conformance, gateway as client, ${requirements}: ${result.totals}\n`);
  expect(result.scored.filter(({ status }) => status !== 'passed')).toEqual([]);
  expect(result.scored).toHaveLength(scenarios);
  expect(
    result.unscored
      .filter(({ status }) => status !== 'passed')
      .map(({ scenario }) => scenario)
      .sort(),
  ).toEqual(notOffered);
});
