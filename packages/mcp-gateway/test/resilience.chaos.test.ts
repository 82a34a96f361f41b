import { join } from 'node:path';
import { CostTracker } from '@tidegate/cost-tracker';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';
import { httpFixture, seededRandom, startProxy, stdioFixture, tempDir } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import type { CallEvent } from '../src/index.ts';
import { createGateway } from '../src/index.ts';
import { keep } from './gateway-over.ts';

const seed = Number(process.env['CHAOS_SEED'] ?? 20_251_125);
const tenants = ['a', 'b', 'c', 'd'];
const callsInAll = 300;

/** What became of a call: the answer's text, or the code of the refusal. */
type End = { readonly text: string } | { readonly code: string };

test(`every call ends and every number is right while servers flap, crash and are cut off (seed ${seed})`, async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  onTestFinished(() => void process.off('unhandledRejection', note));
  const random = seededRandom(seed);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;

  const flapping = keep(await httpFixture({ reply: 'sse' }));
  const behind = keep(await httpFixture());
  const spare = keep(await httpFixture());
  const crashing = keep(stdioFixture());
  const proxy = keep(await startProxy({ port: Number(new URL(behind.url).port) }));
  const dataDir = keep(tempDir('chaos-')).path;
  const often = { retry: { maxAttempts: 3, initialDelayMs: 2, maxDelayMs: 10 }, breaker: { failures: 5, openMs: 30 }, timeoutMs: 1_000 };
  const { command, args, env } = crashing;
  const gateway = keep(
    await createGateway({
      dataDir,
      limits: [],
      tokens: tenants.map((tenant) => ({ token: `secret-${tenant}`, tenant })),
      prices: Object.fromEntries(['flapping', 'cut', 'crashing'].map((server) => [`${server}__add`, { perCallUsd: '0.01' }])),
      mcpServers: {
        flapping: { url: flapping.url, ...often },
        cut: { url: `http://127.0.0.1:${proxy.port}/mcp`, fallbackUrl: spare.url, ...often },
        crashing: { command, args, env, ...often },
      },
    }),
  );
  const told: CallEvent[] = [];
  gateway.on('call', (event) => told.push(event));
  await gateway.warmUp();
  flapping.faults.set({ flap: [7, 3, 2, 1], methods: ['tools/call'] });

  const ends: { server: string; number: number; end: End }[] = [];
  const make = async (number: number): Promise<void> => {
    const server = pick(['flapping', 'cut', 'crashing']);
    const principal = { tenant: pick(tenants), role: 'member' as const };
    const end = await gateway.callTool(principal, `${server}__add`, { a: number, b: 0 }).then(
      (answer): End =>
        'result' in answer ? { text: (answer.result['content'] as { text: string }[])[0]?.text ?? '' } : { code: `${answer.error.code}` },
      (error: { code: string }): End => ({ code: error.code }),
    );
    ends.push({ server, number, end });
  };
  const disturb = async (): Promise<void> => {
    if (random() < 0.4) proxy.cut();
    else if (random() < 0.5) await gateway.callTool({ tenant: pick(tenants), role: 'member' }, 'crashing__crash', {}).catch(() => {});
    else behind.faults.forgetSessions();
  };
  const started: Promise<void>[] = [];
  for (let number = 0; number < callsInAll; number += 1) {
    started.push(make(number));
    if (number % 10 === 9) await disturb();
  }
  await Promise.all(started);

  // every call has ended, and an answer is that call's own
  expect(ends).toHaveLength(callsInAll);
  for (const { number, end } of ends) if ('text' in end) expect(end.text).toBe(String(number));
  const codes = new Set(ends.flatMap(({ end }) => ('code' in end ? [end.code] : [])));
  const known = ['ERR_UPSTREAM_UNAVAILABLE', 'ERR_UPSTREAM_PROTOCOL', 'ERR_CIRCUIT_OPEN', 'ERR_TIMEOUT'];
  expect(known).toEqual(expect.arrayContaining([...codes]));
  expect(codes.size).toBeGreaterThan(0);

  // no call was carried out twice, and each that was answered was carried out
  const events = [...flapping.events(), ...behind.events(), ...spare.events(), ...crashing.control.events()];
  const carriedOut = events.flatMap(({ event, tool, arguments: given }) =>
    event === 'call' && tool === 'add' ? [(given as { a: number }).a] : [],
  );
  expect(new Set(carriedOut).size).toBe(carriedOut.length);
  const answered = ends.flatMap(({ number, end }) => ('text' in end ? [number] : []));
  expect(carriedOut).toEqual(expect.arrayContaining(answered));
  expect(answered.length).toBeGreaterThan(50);

  // what the gateway told and what it charged agree with that
  const adds = told.filter(({ name }) => name.endsWith('__add'));
  expect(adds).toHaveLength(callsInAll);
  expect(adds.filter(({ outcome }) => outcome === 'ok')).toHaveLength(answered.length);
  await gateway.close();
  const ledger = new CostTracker({ store: sqliteStore(join(dataDir, 'ledger.db')) });
  const charged = Math.round(Number(await ledger.monthlyTotalUsd()) * 100);
  await ledger.close();
  expect(charged).toBeGreaterThanOrEqual(carriedOut.length);
  expect(charged).toBeLessThanOrEqual(ends.filter(({ end }) => !('code' in end && end.code === 'ERR_CIRCUIT_OPEN')).length);
  expect(unhandled).toEqual([]);
}, 60_000);
