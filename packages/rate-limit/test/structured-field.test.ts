import fc from 'fast-check';
import {
  DisplayString,
  type Item,
  isInnerList,
  ParseError,
  parseDictionary,
  parseList,
  serializeDictionary,
  serializeList,
  Token,
} from 'structured-headers';
import { expect, test } from 'vitest';
import { type BareItem, type Member, readDictionary, readList } from '../src/headers/structured-field.ts';
import { runs } from './runs.ts';

const key = fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,6}$/);
const bare = fc.oneof(
  fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 }),
  fc.integer({ min: -9_999_999, max: 9_999_999 }).map((thousandths) => thousandths / 1_000),
  fc.stringMatching(/^[\x20-\x7e]{0,8}$/),
  fc.boolean(),
  fc.stringMatching(/^[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]{0,6}$/).map((word) => new Token(word)),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => bytes.slice().buffer),
  fc.string({ unit: 'grapheme', maxLength: 4 }).map((s) => new DisplayString(s)),
);
const parameters = fc.array(fc.tuple(key, bare), { maxLength: 3 }).map((pairs) => new Map(pairs));
const item = fc.tuple(bare, parameters) as fc.Arbitrary<Item>;
const member = fc.oneof(item, fc.tuple(fc.array(item, { maxLength: 3 }), parameters));
const damage = fc.record({ at: fc.nat(80), remove: fc.nat(3), add: fc.stringMatching(/^[ ,;="():?%0-9.a-zA-Z\\-]{0,2}$/) });

/** One field, whole or with a few characters changed. */
function spoilt(field: string, { at, remove, add }: { at: number; remove: number; add: string }): string {
  return field.slice(0, at) + add + field.slice(at + remove);
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

/** What the package read, in our words. */
function ours(value: unknown): BareItem {
  if (value instanceof Token) return { token: value.toString() };
  if (value instanceof DisplayString) return value.toString();
  if (value instanceof ArrayBuffer) return { base64: Buffer.from(value).toString('base64') };
  return value as BareItem;
}

function asMember(read: unknown): Member {
  const [value, found] = read as [unknown, ReadonlyMap<string, unknown>];
  const own = isInnerList(read as never) ? (value as unknown[]).map(asMember) : ours(value);
  return { value: own, parameters: new Map([...found].map(([name, param]) => [name, ours(param)])) };
}

test('a List is read as the package structured-headers reads it', () => {
  fc.assert(
    fc.property(fc.array(member, { maxLength: 4 }), (members) => {
      const field = serializeList(members as never);
      expect(readList(field)).toEqual(parseList(field).map(asMember));
    }),
    runs(500),
  );
});

test('a Dictionary is read as the package structured-headers reads it', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, member), { maxLength: 4 }), (members) => {
      const field = serializeDictionary(new Map(members) as never);
      expect(readDictionary(field)).toEqual(new Map([...parseDictionary(field)].map(([name, read]) => [name, asMember(read)])));
    }),
    runs(500),
  );
});

test('a List with a mistake in it is refused where that package refuses it', () => {
  const plain = fc.oneof(
    fc.integer({ min: 0, max: 999_999 }),
    fc.stringMatching(/^[\x20-\x7e]{0,8}$/),
    fc.stringMatching(/^[a-z]{1,6}$/).map((word) => new Token(word)),
  );
  const some = fc.array(
    fc.tuple(
      plain,
      fc.array(fc.tuple(key, plain), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    ),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(
    fc.property(some, damage, (members, change) => {
      const field = spoilt(serializeList(members as never), change);
      const theirs = attempt(() => parseList(field).map(asMember));
      expect(readList(field), field).toEqual(theirs);
    }),
    runs(1_000),
  );
});

test.each([
  '"a',
  '"a\\x"',
  '1.',
  '1234567890123456',
  '1.2345',
  ':a',
  '(1',
  '(1"a")',
  '1,',
  '1,,2',
  '1;',
  '1;A=2',
  '?2',
  'ä',
  '%"%zz"',
  '%"%ff"',
  '1 2',
  '@1.5',
])('no part of %j is read', (field) => expect(readList(field)).toBeUndefined());

test('a field that nobody sends in earnest is not read', () => {
  expect(readList(`"${'a'.repeat(8_190)}"`)).toHaveLength(1);
  expect(readList(`"${'a'.repeat(8_191)}"`)).toBeUndefined();
});

// the package refuses a Date with anything behind it
test('a Date is read, also with parameters and in an Inner List', () => {
  expect(readList('@-1;a=@1659578233,(@0 @1)')).toEqual([
    { value: { epochSeconds: -1 }, parameters: new Map([['a', { epochSeconds: 1_659_578_233 }]]) },
    { value: [0, 1].map((epochSeconds) => ({ value: { epochSeconds }, parameters: new Map() })), parameters: new Map() },
  ]);
});
