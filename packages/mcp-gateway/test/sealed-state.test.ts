import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { digestOf, type State, StateSeal } from '../src/sealed-state.ts';

const state: State = { conversation: 'c', principal: '["acme","mina"]', digest: 'd', expiresAt: 1_700_000_000_000 };
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

describe('a seal', () => {
  test('opens what it sealed, and says the same thing differently each time', () => {
    const seal = new StateSeal();
    const [first, second] = [seal.seal(state), seal.seal(state)];
    expect(first).not.toBe(second);
    expect([seal.open(first), seal.open(second)]).toEqual([state, state]);
  });

  test('opens for the same key in another process, for no other key', () => {
    const key = Buffer.alloc(32, 7);
    const sealed = new StateSeal(key).seal(state);
    expect(new StateSeal(Buffer.from(key)).open(sealed)).toEqual(state);
    expect(new StateSeal(Buffer.alloc(32, 8)).open(sealed)).toBeUndefined();
    expect(new StateSeal().open(new StateSeal().seal(state))).toBeUndefined();
  });

  test('does not let its reader see what it says', () => {
    const sealed = new StateSeal().seal(state);
    expect(Buffer.from(sealed.slice(4), 'base64url').toString('latin1')).not.toContain('mina');
  });

  test.each(['', 'tg1.', 'tg1', 'tg1.AAAA', 'TG1.x', 'a state of somebody else', `tg1.${'A'.repeat(38)}`, `tg1.${'A'.repeat(60)}`])(
    'opens nothing where nothing was sealed: %s',
    (text) => {
      expect(new StateSeal().open(text)).toBeUndefined();
    },
  );

  property.prop([fc.nat(), fc.constantFrom(...alphabet)])('opens nothing that was changed in any one place', (at, letter) => {
    const seal = new StateSeal();
    const sealed = seal.seal(state);
    const place = at % sealed.length;
    const changed = sealed.slice(0, place) + letter + sealed.slice(place + 1);
    expect(seal.open(changed)).toEqual(changed === sealed ? state : undefined);
  });

  property.prop([fc.nat(), fc.constantFrom('', 'A', '=', '.', '\n', '==')])('opens nothing that is shorter or longer', (at, more) => {
    const seal = new StateSeal();
    const sealed = seal.seal(state);
    const place = at % sealed.length;
    expect(seal.open(sealed.slice(0, place) + more + sealed.slice(place + 1 + more.length * 2))).toBeUndefined();
    expect(seal.open(sealed.slice(0, place))).toBeUndefined();
    if (more !== '') expect(seal.open(sealed + more)).toBeUndefined();
  });

  property.prop([fc.string({ minLength: 0, maxLength: 30 })])('takes no other spelling of the same bytes', (conversation) => {
    const seal = new StateSeal();
    const sealed = seal.seal({ ...state, conversation });
    const bytes = Buffer.from(sealed.slice(4), 'base64url');
    const others = [...alphabet].map((letter) => sealed.slice(0, -1) + letter).filter((other) => other !== sealed);
    const spellings = others.filter((other) => Buffer.from(other.slice(4), 'base64url').equals(bytes));
    if (bytes.length % 3 !== 0) expect(spellings).not.toEqual([]); // the last letter then has bits that mean nothing
    for (const spelling of spellings) expect(seal.open(spelling)).toBeUndefined();
    const plain = `tg1.${bytes.toString('base64')}`;
    if (plain !== sealed) expect(seal.open(plain)).toBeUndefined();
  });
});

describe('a digest', () => {
  const member = fc.string({ minLength: 1, maxLength: 4 });

  property.prop([fc.array(fc.tuple(member, fc.jsonValue({ maxDepth: 2 })), { maxLength: 8 }), fc.infiniteStream(fc.nat())])(
    'is the same in whatever order the members come',
    (entries, chances) => {
      const unique = [...new Map(entries)];
      const shuffled = unique
        .map((entry) => [chances.next().value ?? 0, entry] as const)
        .sort(([a], [b]) => a - b)
        .map(([, entry]) => entry);
      const [one, other] = [unique, shuffled].map((members) => Object.fromEntries(members));
      expect(digestOf({ inside: [other] })).toBe(digestOf({ inside: [one] }));
    },
  );

  property.prop([fc.jsonValue(), fc.jsonValue()])('is another for another value', (one, other) => {
    const alike = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
    expect(digestOf(one) === digestOf(other)).toBe(alike);
  });

  test('keeps apart what only looks alike', () => {
    const values = [
      1,
      '1',
      [1],
      { 0: 1 },
      ['1'],
      [1, []],
      [[1]],
      null,
      'null',
      {},
      [],
      { a: { b: 1 } },
      { 'a:{b': 1 },
      ['a', 'b'],
      ['a,b'],
    ];
    expect(new Set(values.map(digestOf)).size).toBe(values.length);
  });
});

/** The value with the members of its objects in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return { members: members.map(([name, inside]) => [name, sorted(inside)]) };
}
