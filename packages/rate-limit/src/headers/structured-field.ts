/** A Token of a structured field: a word without quotes. */
export interface Token {
  /** The word. */
  readonly token: string;
}

/** A Byte Sequence of a structured field. */
export interface Bytes {
  /** Base64, as it was sent. */
  readonly base64: string;
}

/** A Date of a structured field. */
export interface Instant {
  /** Seconds since the Unix epoch. */
  readonly epochSeconds: number;
}

/** A value of a structured field; Strings and Display Strings are both strings. */
export type BareItem = number | string | boolean | Token | Bytes | Instant;

/** The parameters of an item: of a name given twice, the last counts. */
export type Parameters = ReadonlyMap<string, BareItem>;

/** A value with its parameters; an Inner List has its items as value. */
export interface Member {
  /** What stands before the parameters. */
  readonly value: BareItem | readonly Member[];
  /** What stands behind it, after semicolons. */
  readonly parameters: Parameters;
}

/** Longer fields are not read: Node accepts 16 kB of headers in all. */
const longestField = 8_192;

const key = /[a-z*][a-z0-9_.*-]*/y;
const number = /-?(\d{1,12}\.\d{1,3}(?![\d.])|\d{1,15}(?![\d.]))/y;
const text = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const displayed = /%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"/y;
const token = /[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*/y;
const bytes = /:([A-Za-z0-9+/]*={0,2}):/y;
const truth = /\?([01])/y;
const date = /@(-?\d{1,15})(?![\d.])/y;

/** The members of a List (RFC 9651 §4.2.1); undefined where the field is none, since half a field may say the opposite of the whole. */
export function readList(field: string): readonly Member[] | undefined {
  return read(field, (reader) => {
    const members: Member[] = [];
    reader.members(() => members.push(reader.member()));
    return members;
  });
}

/** The members of a Dictionary (RFC 9651 §4.2.2); undefined where the field is none. */
export function readDictionary(field: string): ReadonlyMap<string, Member> | undefined {
  return read(field, (reader) => {
    const members = new Map<string, Member>();
    reader.members(() => {
      const name = reader.take(key);
      members.set(name, reader.skip('=') ? reader.member() : { value: true, parameters: reader.parameters() });
    });
    return members;
  });
}

function read<T>(field: string, how: (reader: Reader) => T): T | undefined {
  if (field.length > longestField) return undefined;
  try {
    return how(new Reader(field));
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

class Malformed extends Error {}

class Reader {
  readonly #field: string;
  #at = 0;

  constructor(field: string) {
    this.#field = field.replace(/^ +/, '');
  }

  /** Calls `member` for each member, up to the end of the field. */
  members(member: () => void): void {
    while (this.#at < this.#field.length) {
      member();
      this.#spaces(' \t');
      if (this.#at === this.#field.length) return;
      if (!this.skip(',')) throw new Malformed();
      this.#spaces(' \t');
      if (this.#at === this.#field.length) throw new Malformed(); // a comma and nothing behind it
    }
  }

  member(): Member {
    return this.skip('(') ? this.#innerList() : this.#item();
  }

  parameters(): Parameters {
    const parameters = new Map<string, BareItem>();
    while (this.skip(';')) {
      this.#spaces(' ');
      const name = this.take(key);
      parameters.set(name, this.skip('=') ? this.#bareItem() : true);
    }
    return parameters;
  }

  /** Whether the next character is this one, which is then passed. */
  skip(character: string): boolean {
    const there = this.#field[this.#at] === character;
    if (there) this.#at += 1;
    return there;
  }

  /** What a pattern finds here; its group, if it has one that took part. */
  take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#field);
    if (found === null) throw new Malformed();
    this.#at = pattern.lastIndex;
    return pattern === number ? found[0] : (found[1] ?? found[0]);
  }

  #item(): Member {
    const value = this.#bareItem();
    return { value, parameters: this.parameters() };
  }

  #innerList(): Member {
    const value: Member[] = [];
    for (;;) {
      this.#spaces(' ');
      if (this.skip(')')) return { value, parameters: this.parameters() };
      value.push(this.#item());
      const next = this.#field[this.#at];
      if (next !== ' ' && next !== ')') throw new Malformed();
    }
  }

  #bareItem(): BareItem {
    const first = this.#field[this.#at] ?? '';
    if (first === '"') return this.take(text).replace(/\\(.)/g, '$1');
    if (first === '%') return unescaped(this.take(displayed));
    if (first === ':') return { base64: this.take(bytes) };
    if (first === '?') return this.take(truth) === '1';
    if (first === '@') return { epochSeconds: Number(this.take(date)) };
    if (first === '-' || (first >= '0' && first <= '9')) return Number(this.take(number));
    return { token: this.take(token) };
  }

  #spaces(which: string): void {
    while (this.#at < this.#field.length && which.includes(this.#field[this.#at] as string)) this.#at += 1;
  }
}

function unescaped(display: string): string {
  try {
    return decodeURIComponent(display);
  } catch {
    throw new Malformed(); // bytes that are no UTF-8
  }
}
