import { describe, expect, test } from 'vitest';
import { classify } from '../src/json-rpc.ts';

const error = { code: -32_000, message: 'no' };

describe('what is no message', () => {
  test.each([
    ['a request of another JSON-RPC', { jsonrpc: '1.0', id: 1, method: 'ping' }, 1],
    ['a request whose method is no text', { jsonrpc: '2.0', id: 'a', method: 7 }, 'a'],
    ['a request without a method', { jsonrpc: '2.0', id: 0, params: {} }, 0],
    ['a request with a result', { jsonrpc: '1.0', id: 2, method: 'ping', result: {} }, 2],
  ])('names the id of %s, so that it can be refused', (_, value, id) => {
    expect(classify(value)).toMatchObject({ kind: 'invalid', id });
  });

  test.each([
    ['a broken id', { jsonrpc: '2.0', id: 1.5, method: 'ping' }],
    ['no id', { jsonrpc: '1.0', method: 'ping' }],
    ['a result that is a list', { jsonrpc: '2.0', id: 1, result: [] }],
    ['a result whose _meta is no object', { jsonrpc: '2.0', id: 1, result: { _meta: 5 } }],
    ['an error whose code is no whole number', { jsonrpc: '2.0', id: 1, error: { ...error, code: 1.5 } }],
    ['a batch', [{ jsonrpc: '2.0', id: 1, method: 'ping' }]],
  ])('has no id where it has %s', (_, value) => {
    const classified = classify(value);
    expect(classified.kind).toBe('invalid');
    expect(classified).not.toHaveProperty('id');
  });
});

test.each([[{ id: 1 }], [{ id: null }], [{}]])('an error with %j is a response', (head) => {
  expect(classify({ jsonrpc: '2.0', ...head, error })).toMatchObject({ kind: 'response' });
});

test.each([null, [], { _meta: [] }])('an error beside a result of %j is an error alone', (result) => {
  expect(classify({ jsonrpc: '2.0', id: 1, result, error })).toEqual({ kind: 'response', message: { jsonrpc: '2.0', id: 1, error } });
});

test('a result of no request is none', () => {
  expect(classify({ jsonrpc: '2.0', result: {} })).toMatchObject({ kind: 'invalid' });
});
