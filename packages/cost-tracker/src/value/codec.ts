import { checkKeys, checkOneOf, checkText } from '../options.ts';

/** Turns a record as it is on the wire into the one of TypeScript, and back. */
export interface Codec<T> {
  /**
   * Reads a parsed JSON value; `name` is what errors call it.
   *
   * @throws RangeError for anything but such a record: a key that is missing or unknown, a value of another kind.
   */
  decode(wire: unknown, name?: string): T;
  /** Writes it as a JSON value. */
  encode(value: T): unknown;
}

/** One field of a record: how it is called and written on the wire. */
export interface Field<T> {
  readonly wire: string;
  readonly codec: Codec<T>;
  /** Whether the wire may go without it, or say null. */
  readonly optional?: boolean;
}

/** All fields of a record. */
export type Fields<T> = { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> };

/** A field that must be there. */
export function required<T>(wire: string, codec: Codec<T>): Field<T> {
  return { wire, codec };
}

/** A field that may be missing or null, which both mean that it is not there. */
export function optional<T>(wire: string, codec: Codec<T>): Field<T> {
  return { wire, codec, optional: true };
}

/** A record whose keys have other names on the wire. */
export function recordOf<T extends object>(what: string, fields: Fields<T>): Codec<T> {
  const entries = Object.entries(fields) as [keyof T & string, Field<unknown>][];
  const wires = entries.map(([, { wire }]) => wire);
  return {
    decode(wire, name = what) {
      checkKeys(wire, wires, name);
      const found = entries.flatMap(([key, field]) => {
        const value = (wire as Record<string, unknown>)[field.wire];
        if (field.optional && (value === undefined || value === null)) return [];
        return [[key, field.codec.decode(value, `${name}.${field.wire}`)] as const];
      });
      return Object.fromEntries(found) as T;
    },
    encode(value) {
      const present = entries.filter(([key]) => value[key] !== undefined);
      return Object.fromEntries(present.map(([key, { wire, codec }]) => [wire, codec.encode(value[key])]));
    },
  };
}

/** An object with keys of its own, all values alike. */
export function mapOf<T>(each: Codec<T>): Codec<Readonly<Record<string, T>>> {
  return {
    decode(wire, name = 'map') {
      const entries = Object.entries(checkObject(wire, name));
      return Object.fromEntries(entries.map(([key, value]) => [key, each.decode(value, `${name}.${key}`)]));
    },
    encode: (value) => Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, each.encode(entry)])),
  };
}

/** An array, all elements alike. */
export function listOf<T>(each: Codec<T>): Codec<readonly T[]> {
  return {
    decode(wire, name = 'list') {
      if (!Array.isArray(wire)) throw new RangeError(`${name} must be an array, not ${String(wire)}`);
      return wire.map((value, index) => each.decode(value, `${name}[${index}]`));
    },
    encode: (value) => value.map((entry) => each.encode(entry)),
  };
}

/** The value or null. */
export function nullOr<T>(codec: Codec<T>): Codec<T | null> {
  return {
    decode: (wire, name) => (wire === null ? null : codec.decode(wire, name)),
    encode: (value) => (value === null ? null : codec.encode(value)),
  };
}

/** One of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Codec<Word> {
  return same((wire, name) => checkOneOf(wire, words, name));
}

/** A text that is not empty. */
export const text: Codec<string> = same(checkText);

/** A finite number. */
export const finite: Codec<number> = same((wire, name) => {
  if (typeof wire === 'number' && Number.isFinite(wire)) return wire;
  throw new RangeError(`${name} must be a finite number, not ${typeof wire === 'string' ? JSON.stringify(wire) : String(wire)}`);
});

/** A whole number of at least 0. */
export const whole: Codec<number> = same((wire, name) => {
  if (Number.isSafeInteger(wire) && (wire as number) >= 0) return wire as number;
  throw new RangeError(`${name} must be a whole number of at least 0, not ${String(wire)}`);
});

/** Any JSON object. */
export const object: Codec<Readonly<Record<string, unknown>>> = same(checkObject);

// A date and a time of day with, perhaps, a fraction and an offset, as Python and Postgres write it too.
const TIMESTAMP = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:?\d\d)?$/;

/** Epoch milliseconds, as ISO 8601 on the wire: without an offset it is UTC, and what is finer than a millisecond is dropped. */
export const instant: Codec<number> = {
  decode(wire, name = 'timestamp') {
    const [, date, time, offset = 'Z'] = typeof wire === 'string' ? (TIMESTAMP.exec(wire) ?? []) : [];
    const at = Date.parse(`${date}T${time}${offset}`);
    // The day is compared, because Date takes 30 February for 2 March.
    if (date && !Number.isNaN(at) && new Date(`${date}T00:00:00Z`).toISOString().startsWith(date)) return at;
    throw new RangeError(`${name} must be a time such as '2026-03-15T12:00:00Z', not ${JSON.stringify(wire)}`);
  },
  encode: (value) => new Date(value).toISOString(),
};

function same<T>(check: (wire: unknown, name: string) => T): Codec<T> {
  return { decode: (wire, name = 'value') => check(wire, name), encode: (value) => value };
}

function checkObject(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new RangeError(`${name} must be an object, not ${Array.isArray(value) ? 'an array' : String(value)}`);
}
