import { describe, expect, test } from 'vitest';
import { type FixtureEra, startHttpFixture } from './processes.ts';
import { type Revision, runActiveSuite, runServerSuite, type SuiteResult } from './suite.ts';

// The fixtures stand behind the gateway in its own conformance runs: what fails there must not be theirs.
const runs: readonly [era: FixtureEra, revision: Revision, scenarios: number][] = [
  ['both', '2025-11-25', 30],
  ['both', '2026-07-28', 37],
  ['legacy', '2025-11-25', 30],
  ['modern', '2026-07-28', 37],
];

const print = (what: string, { totals }: SuiteResult) => process.stdout.write(`conformance, ${what}: ${totals}\n`);

describe('the fixture alone', () => {
  test.each(runs)(
    'speaking %s passes what %s requires of a server, %i scenarios',
    { timeout: 200_000 },
    async (era, requirements, scenarios) => {
      await using fixture = await startHttpFixture(era);
      const result = await runServerSuite({ url: fixture.url, requirements });
      print(`fixture (${era}), ${requirements}`, result);
      const required = result.scored.flatMap(({ failures, scenario }) => (failures.length > 0 ? [{ scenario, failures }] : []));
      expect(required).toEqual([]);
      expect(result).toMatchObject({ passed: scenarios, failed: 0 });
      // Beside what is required, everything but the tasks extension, which the fixture does not have.
      const others = result.unscored.filter(({ status }) => status === 'failed' || status === 'warning');
      expect(others.map(({ scenario }) => scenario).filter((scenario) => !scenario.startsWith('tasks-'))).toEqual([]);
    },
  );

  test('passes the 30 active scenarios of the stable suite', { timeout: 200_000 }, async () => {
    await using fixture = await startHttpFixture('both');
    const result = await runActiveSuite({ url: fixture.url });
    print('fixture (both), suite 0.1.16 active', result);
    expect(result).toMatchObject({ passed: 30, failed: 0, report: '' });
  });

  test('of the other era only fails: the suite does tell them apart', { timeout: 200_000 }, async () => {
    await using fixture = await startHttpFixture('legacy');
    const result = await runServerSuite({ url: fixture.url, requirements: '2026-07-28' });
    expect(result.failed).toBeGreaterThan(30);
    expect(result.report).toContain('ServerImplementsDiscover');
  });
});
