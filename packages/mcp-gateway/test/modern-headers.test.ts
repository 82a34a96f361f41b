import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { BadAnnotation, decodeHeader, encodeHeader, nameMember, parameterHeaders, parameterValues } from '../src/wire/modern-headers.ts';

describe('a header value', () => {
  property.prop([
    fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'grapheme' }).map((inside) => `=?base64?${inside}?=`),
    ),
  ])('is decoded to what was encoded, and is safe to send', (value) => {
    const encoded = encodeHeader(value);
    expect(encoded).toMatch(/^(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?$/);
    expect(decodeHeader(encoded)).toBe(value);
  });

  test.each([
    ['us-west1', 'us-west1'],
    ['two words', 'two words'],
    ['', ''],
    [' padded', '=?base64?IHBhZGRlZA==?='],
    ['padded ', '=?base64?cGFkZGVkIA==?='],
    ['line\nfeed', '=?base64?bGluZQpmZWVk?='],
    ['서울', '=?base64?7ISc7Jq4?='],
    ['=?base64?YQ==?=', '=?base64?PT9iYXNlNjQ/WVE9PT89?='],
  ])('%j travels as %s', (value, header) => {
    expect(encodeHeader(value)).toBe(header);
  });

  test.each(['=?base64?YQ?=', '=?base64?Y?=', '=?base64?YR==?=', '=?base64?_-__?=', '=?base64?Y Q==?=', '=?base64?/w==?='])(
    'is none where its base64 form is broken: %s',
    (header) => {
      expect(decodeHeader(header)).toBeUndefined();
    },
  );

  test.each(['=?BASE64?YQ==?=', '=?base64?YQ==', 'x=?base64?YQ==?=', '=?utf-8?B?YQ==?='])(
    'is taken as it is where it only resembles: %s',
    (header) => {
      expect(decodeHeader(header)).toBe(header);
    },
  );
});

test('Mcp-Name repeats the name of a tool or prompt and the address of a resource', () => {
  expect(['tools/call', 'prompts/get', 'resources/read', 'tools/list', 'server/discover'].map(nameMember)).toEqual([
    'name',
    'name',
    'uri',
    undefined,
    undefined,
  ]);
});

const object = (properties: object) => ({ type: 'object', properties });

describe('the parameters that headers repeat', () => {
  test('are strings, integers and booleans, at any depth of properties', () => {
    const schema = object({
      region: { type: 'string', 'x-mcp-header': 'Region' },
      plain: { type: 'string' },
      deep: object({
        count: { type: 'integer', 'x-mcp-header': 'Count' },
        deeper: object({ dry: { type: 'boolean', 'x-mcp-header': 'Dry-Run' } }),
      }),
    });
    expect(parameterHeaders(schema)).toEqual([
      { header: 'Region', path: ['region'] },
      { header: 'Count', path: ['deep', 'count'] },
      { header: 'Dry-Run', path: ['deep', 'deeper', 'dry'] },
    ]);
  });

  test('are none where the schema names none, or is none', () => {
    expect(parameterHeaders(object({ a: { type: 'string' } }))).toEqual([]);
    expect(parameterHeaders(undefined)).toEqual([]);
  });

  test('may be called like the keyword, and data that looks like it says nothing', () => {
    const schema = object({
      'x-mcp-header': { type: 'string' },
      other: { type: 'object', default: { 'x-mcp-header': 'No' }, enum: [{ 'x-mcp-header': 'No' }] },
    });
    expect(parameterHeaders(schema)).toEqual([]);
  });

  test.each([
    ['an empty name', object({ a: { type: 'string', 'x-mcp-header': '' } })],
    ['a name with a space', object({ a: { type: 'string', 'x-mcp-header': 'My Region' } })],
    ['a name with a colon', object({ a: { type: 'string', 'x-mcp-header': 'Region:Primary' } })],
    ['a name with a line feed', object({ a: { type: 'string', 'x-mcp-header': 'Region\n' } })],
    ['a name outside ASCII', object({ a: { type: 'string', 'x-mcp-header': 'Région' } })],
    ['a name that is no text', object({ a: { type: 'string', 'x-mcp-header': 1 } })],
    ['a number', object({ a: { type: 'number', 'x-mcp-header': 'A' } })],
    ['an object', object({ a: { type: 'object', 'x-mcp-header': 'A' } })],
    ['an array', object({ a: { type: 'array', 'x-mcp-header': 'A' } })],
    ['null', object({ a: { type: 'null', 'x-mcp-header': 'A' } })],
    ['no type', object({ a: { 'x-mcp-header': 'A' } })],
    ['a union of types', object({ a: { type: ['string', 'null'], 'x-mcp-header': 'A' } })],
    ['the same name twice', object({ a: { type: 'string', 'x-mcp-header': 'A' }, b: { type: 'string', 'x-mcp-header': 'A' } })],
    [
      'the same name in other letters',
      object({ a: { type: 'string', 'x-mcp-header': 'AB' }, b: object({ c: { type: 'string', 'x-mcp-header': 'ab' } }) }),
    ],
    ['the schema itself', { type: 'string', 'x-mcp-header': 'A' }],
    ['items of an array', object({ a: { type: 'array', items: { type: 'string', 'x-mcp-header': 'A' } } })],
    ['members of items', object({ a: { type: 'array', items: object({ b: { type: 'string', 'x-mcp-header': 'A' } }) } })],
    ['an alternative', object({ a: { anyOf: [{ type: 'string', 'x-mcp-header': 'A' }] } })],
    ['a definition', { ...object({}), $defs: { a: { type: 'string', 'x-mcp-header': 'A' } } }],
    ['a condition', { ...object({}), if: object({ a: { type: 'string', 'x-mcp-header': 'A' } }) }],
  ])('are refused on or with %s', (_, schema) => {
    expect(() => parameterHeaders(schema)).toThrow(BadAnnotation);
  });

  test('are sent as their values read, absent and null ones not at all', () => {
    const headers = ['region', 'count', 'dry', 'none', 'empty'].map((name) => ({ header: name.toUpperCase(), path: ['in', name] }));
    expect(parameterValues(headers, { in: { region: '서울', count: 42, dry: false, none: null } })).toEqual({
      'mcp-param-region': '=?base64?7ISc7Jq4?=',
      'mcp-param-count': '42',
      'mcp-param-dry': 'false',
    });
    expect(parameterValues(headers, { in: { region: { toString: 1 } } })).toEqual({ 'mcp-param-region': '{"toString":1}' });
    expect(parameterValues(headers, undefined)).toEqual({});
    expect(parameterValues(headers, { in: 'text' })).toEqual({});
  });
});
