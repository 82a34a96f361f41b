import { describe, expect, test } from 'vitest';
import { validateFrame } from '../../../tests/conformance/frames.ts';
import type { Answer } from '../src/json-rpc.ts';
import { forLegacyClient, forModernClient } from '../src/wire/era-results.ts';

const toModern = (answer: Answer) => forModernClient('tools/call', answer, { name: 'gateway', version: '1' });
const failure = (code: number, data?: unknown): Answer => ({ error: { code, message: 'no', ...(data !== undefined && { data }) } });
const url = { mode: 'url', message: 'Sign in', elicitationId: '1', url: 'https://example.com' };

describe('an error whose data its era prescribes', () => {
  test.each([
    ['legacy', forLegacyClient, failure(-32_042, { elicitations: [url] })],
    ['legacy', forLegacyClient, failure(-32_021, 'free')],
    ['modern', toModern, failure(-32_021, { requiredCapabilities: { elicitation: { form: {} } } })],
    ['modern', toModern, failure(-32_022, { supported: ['2026-07-28'], requested: 'x' })],
    ['modern', toModern, failure(-32_020)],
    ['modern', toModern, failure(-32_042, 'free')],
  ] as const)('goes on as it is where it has them (%s)', (era, convert, answer) => {
    expect(convert(answer)).toEqual(answer);
    expect(validateFrame(era, 'to-client', { jsonrpc: '2.0', id: 1, ...answer })).toEqual([]);
  });

  test.each([
    ['legacy', forLegacyClient, failure(-32_042)],
    ['legacy', forLegacyClient, failure(-32_042, { elicitations: {} })],
    ['legacy', forLegacyClient, failure(-32_042, { elicitations: [{ ...url, url: 'no address' }] })],
    ['modern', toModern, failure(-32_021, { requiredCapabilities: ['elicitation'] })],
    ['modern', toModern, failure(-32_021, { requiredCapabilities: { sampling: true } })],
    ['modern', toModern, failure(-32_022, { supported: [7], requested: 'x' })],
    ['modern', toModern, failure(-32_022)],
  ] as const)('is an internal error where it has not (%s)', (era, convert, answer) => {
    expect(validateFrame(era, 'to-client', { jsonrpc: '2.0', id: 1, ...answer })).not.toEqual([]);
    const told = convert(answer);
    expect(told).toEqual({ error: { ...('error' in answer && answer.error), code: -32_603 } });
    expect(validateFrame(era, 'to-client', { jsonrpc: '2.0', id: 1, ...told })).toEqual([]);
  });
});

test.each([[undefined], [null], [5], [['complete']], [{}]])('a result type of %j is complete', (resultType) => {
  expect(toModern({ result: { resultType } })).toMatchObject({ result: { resultType: 'complete' } });
});
