import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ArgumentsCheck, type Verdict } from '../src/arguments-check.ts';
import type { Call } from '../src/call.ts';
import { argumentsStage } from '../src/stages/arguments.ts';
import { certainlyNotCarriedOut } from '../src/upstream-error.ts';

const verdict = (inputSchema: unknown, args: unknown): Verdict => new ArgumentsCheck().verdict({ name: 'x', inputSchema } as never, args);
const problem = (inputSchema: unknown, args: unknown) => {
  const said = verdict(inputSchema, args);
  return said.kind === 'unfit' ? said.problem : said.kind;
};
const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });

describe('arguments', () => {
  test.each<[string, object, unknown, string]>([
    ['fit', object({ path: { type: 'string' } }, { required: ['path'] }), { path: '/x' }, 'fit'],
    ['that are not described fit', object({}), { anything: 1 }, 'fit'],
    ['that are missing are named', object({}, { required: ['path'] }), {}, "'' must have required property 'path'"],
    ['of the wrong type', object({ n: { type: 'integer' } }), { n: 1.5 }, "'/n' must be integer"],
    [
      'deep inside',
      object({ a: object({ 'b/c': { items: { type: 'string' } } }) }),
      { a: { 'b/c': ['x', 2] } },
      "'/a/b~1c/1' must be string",
    ],
    ['outside an enum', object({ unit: { enum: ['m', 'ft'] } }), { unit: 'mile' }, `'/unit' must be one of "m", "ft"`],
    ['other than a const', object({ v: { const: 2 } }), { v: 1 }, "'/v' must be 2"],
    ['that are not allowed', object({}, { additionalProperties: false }), { extra: 1 }, `'' must not have "extra"`],
    [
      'by 2020-12 where nothing else is said',
      object({ t: { prefixItems: [{ type: 'string' }], items: false } }),
      { t: ['a', 1] },
      "'/t' must NOT have more than 1 items",
    ],
    [
      'by draft-07 where that is said',
      { $schema: 'http://json-schema.org/draft-07/schema#', ...object({ t: { items: [{ type: 'string' }] } }) },
      { t: [1] },
      "'/t/0' must be string",
    ],
    [
      'by 2019-09 where that is said',
      { $schema: 'https://json-schema.org/draft/2019-09/schema', ...object({}, { unevaluatedProperties: false }) },
      { x: 1 },
      `'' must not have "x"`,
    ],
    [
      'under references within the schema',
      { $defs: { p: { type: 'string' } }, ...object({ path: { $ref: '#/$defs/p' } }) },
      { path: 1 },
      "'/path' must be string",
    ],
    [
      'with a pattern in the older syntax',
      object({ id: { pattern: '^[\\w\\-]+$' } }),
      { id: 'a b' },
      `'/id' must match pattern "^[\\w\\-]+$"`,
    ],
    ['that are null are as good as left out', object({ a: { type: 'string' } }, { additionalProperties: false }), { a: null }, 'fit'],
    ['that are null fit where null is asked for', object({ a: { type: 'null' } }, { required: ['a'] }), { a: null }, 'fit'],
    [
      'that are needed are not null',
      object({ a: { type: 'string' } }, { required: ['a'] }),
      { a: null },
      "'' must have required property 'a'",
    ],
    ['whose format is only an annotation', object({ at: { type: 'string', format: 'date-time' } }), { at: 'tomorrow' }, 'fit'],
  ])('%s', (_what, schema, args, expected) => {
    expect(problem(schema, args)).toBe(expected);
  });

  test('of a tool of which nothing is known fit', () => {
    expect(new ArgumentsCheck().verdict({}, { anything: true })).toEqual({ kind: 'fit' });
  });

  test('are not changed: neither defaults nor other types are put in', () => {
    const args = { n: '1' };
    expect(problem(object({ n: { type: 'string' }, m: { default: 7 } }), args)).toBe('fit');
    expect(args).toEqual({ n: '1' });
  });
});

describe('a schema that cannot be used leaves the checking to the server', () => {
  test.each<[string, unknown, string]>([
    ['an unknown dialect', { $schema: 'https://example.com/mine' }, 'its dialect https://example.com/mine is not known here'],
    ['no schema at all', { type: 'strng' }, 'schema is invalid'],
    ['a pattern that is none', object({ a: { pattern: '(' } }), 'Unterminated group'],
    ['one that is too long', object({}, { description: 'x'.repeat(300_000) }), 'longer than 262144 characters'],
    ['not an object', 'object', 'cannot be used'],
  ])('%s', (_what, schema, reason) => {
    const said = verdict(schema, {});
    expect(said).toMatchObject({ kind: 'unchecked', reason: expect.stringContaining(reason) });
  });

  test('one that refers to the network, where nobody is asked', async () => {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked += 1;
      response.end('{"type":"object"}');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    expect(verdict(object({ a: { $ref: `http://127.0.0.1:${port}/schema.json` } }), { a: 1 })).toMatchObject({ kind: 'unchecked' });
    expect(asked).toBe(0);
    await new Promise((resolve) => server.close(resolve));
  });

  test('and cannot take the place of another one by its $id', () => {
    const check = new ArgumentsCheck();
    const strict = { name: 'a', inputSchema: { $id: 'https://example.com/s', ...object({ n: { type: 'number' } }) } };
    const lax = { name: 'b', inputSchema: { $id: 'https://example.com/s', ...object({}) } };
    const other = { name: 'c', inputSchema: object({ n: { $ref: 'https://example.com/s' } }) };
    expect(check.verdict(lax as never, { n: 'x' }).kind).toBe('fit');
    expect(check.verdict(strict as never, { n: 'x' }).kind).toBe('unfit');
    expect(check.verdict(other as never, { n: 'x' }).kind).toBe('unchecked');
  });
});

describe('a check that takes long', () => {
  const twice = (depth: number): object =>
    Object.fromEntries(
      Array.from({ length: depth }, (_, i) => [`d${i}`, { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] }]),
    );
  test.each<[string, object, unknown]>([
    ['by a pattern that backtracks', object({ a: { pattern: '^(a+)+$' } }), { a: `${'a'.repeat(50)}!` }],
    ['by items that are all compared', object({ a: { uniqueItems: true } }), { a: Array.from({ length: 20_000 }, (_, i) => ({ i })) }],
    ['by references that branch', { $defs: { ...twice(60), d60: { type: 'string' } }, $ref: '#/$defs/d0' }, 7],
  ])('%s is ended, and not made again', (_what, inputSchema, args) => {
    const check = new ArgumentsCheck();
    const tool = { name: 'x', inputSchema } as never;
    const startedAt = performance.now();
    expect(check.verdict(tool, args)).toEqual({ kind: 'unfit', problem: 'could not be checked within 100 ms' });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    const again = performance.now();
    expect(check.verdict(tool, args)).toMatchObject({ kind: 'unchecked' });
    expect(performance.now() - again).toBeLessThan(50);
  });

  test('is made again where the process was not given any time, as on a machine that is too busy', () => {
    const check = new ArgumentsCheck();
    const tool = { name: 'x', inputSchema: object({ a: { pattern: '^a+$' } }) } as never;
    let stalls = 2;
    const args = {
      get a() {
        if (stalls > 0) {
          stalls -= 1;
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150); // takes time, and none of the processor
        }
        return 'aa';
      },
    };
    expect(check.verdict(tool, args)).toEqual({ kind: 'fit' });
    expect(stalls).toBe(0);
    expect(check.verdict(tool, { a: 'b' })).toMatchObject({ kind: 'unfit', problem: expect.stringContaining('/a') });
  });
});

describe('the stage', () => {
  const sent: Call[] = [];
  const unusable: string[] = [];
  const stage = argumentsStage((_call, reason) => unusable.push(reason));
  const send = (inputSchema: object, args: unknown, kind: Call['kind'] = 'tool') =>
    stage(
      {
        kind,
        name: 'files__x',
        counted: 'files__x',
        server: 'files',
        method: 'tools/call',
        params: { name: 'x', ...(args !== undefined && { arguments: args }) } as never,
        principal: { tenant: 'acme', role: 'member' },
        traceId: '0'.repeat(32),
        repeatable: false,
        signal: new AbortController().signal,
        client: { capabilities: {}, modern: false, ask: () => Promise.reject(new Error('nobody is asked')), notify: () => {} },
        offered: { name: 'x', inputSchema } as never,
      },
      async (call) => {
        sent.push(call);
        return { result: {} };
      },
    );

  test('refuses what does not fit, before it is sent', async () => {
    const refused = await send(object({ n: { type: 'number' } }), { n: 'x' }).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'ERR_INVALID_ARGUMENTS',
      message: "the arguments of 'files__x' do not fit its inputSchema: '/n' must be number",
      refusal: { status: 400, advice: 'Correct them and call it again.' },
    });
    expect(certainlyNotCarriedOut(refused)).toBe(true);
    expect(sent).toEqual([]);
  });

  test('takes arguments that were left out for none', async () => {
    await send(object({}), undefined);
    expect(sent.pop()?.params).toEqual({ name: 'x' });
    await expect(send(object({}, { required: ['a'] }), undefined)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENTS' });
  });

  test('lets prompts and resources pass', async () => {
    await send(object({ n: { type: 'number' } }), { n: 'x' }, 'prompt');
    expect(sent.pop()?.params).toEqual({ name: 'x', arguments: { n: 'x' } });
  });

  test('writes the tenant where the tool asks for it, whatever the client claims', async () => {
    const scoped = object(
      { _tenant_id: { type: 'string' }, q: { type: 'string' } },
      { required: ['_tenant_id'], additionalProperties: false },
    );
    for (const claimed of [{}, { _tenant_id: 'other' }, { _tenant_id: 7 }]) {
      await send(scoped, { q: 'x', ...claimed });
      expect(sent.pop()?.params).toEqual({ name: 'x', arguments: { q: 'x', _tenant_id: 'acme' } });
    }
  });

  test('takes out a tenant that no tool has asked for', async () => {
    await send(object({ q: { type: 'string' } }, { additionalProperties: false }), { q: 'x', _tenant_id: 'other' });
    expect(sent.pop()?.params).toEqual({ name: 'x', arguments: { q: 'x' } });
  });

  test('says once what is wrong with a schema', async () => {
    const schema = { $schema: 'https://example.com/mine' };
    await send(schema, {});
    expect(unusable).toEqual([expect.stringContaining('dialect')]);
    expect(sent.pop()).toBeDefined();
  });
});
