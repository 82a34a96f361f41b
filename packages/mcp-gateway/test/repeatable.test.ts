import { expect, test } from 'vitest';
import { repeatableTools } from '../src/repeatable.ts';

const readOnly = { annotations: { readOnlyHint: true } };
const idempotent = { annotations: { idempotentHint: true } };

test('the names of the configuration decide, `*` for any text and nothing else for anything', () => {
  const repeatable = repeatableTools(['read_*', 'a.b', 'x+y'], false);
  expect(['read_', 'read_file', 'a.b', 'x+y'].every((tool) => repeatable(tool, {}))).toBe(true);
  expect(['spread_file', 'read', 'a-b', 'xxy', 'a.bc', ''].some((tool) => repeatable(tool, {}))).toBe(false);
});

test('annotations count only of a server that is trusted', () => {
  const [trusting, doubting] = [repeatableTools([], true), repeatableTools([], false)];
  for (const offered of [readOnly, idempotent]) expect([trusting('x', offered), doubting('x', offered)]).toEqual([true, false]);
  for (const offered of [{}, { annotations: {} }, { annotations: { readOnlyHint: 'yes', idempotentHint: false } }]) {
    expect(trusting('x', offered)).toBe(false);
  }
});
