/** Numbers in [0, 1) of one seed. */
export type Random = () => number;

export type Json = { readonly [member: string]: unknown };

export const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

export const chance = (random: Random, probability: number): boolean => random() < probability;

const nested = (levels: number): unknown => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
const deep = [nested(400), nested(501), nested(1_000)];
const huge = 'ü'.repeat(20_000);

/** What a member of another type, or an id or name of nobody's, may be. */
const oddities: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  '',
  'x',
  '__proto__',
  'constructor',
  '\u0000',
  '\ud800',
  '=?base64?!!?=',
  '2099-01-01',
  [],
  [1, null],
  {},
  { a: { b: [] } },
  { type: 'text' },
  JSON.parse('{"__proto__":{"a":1}}'),
  JSON.parse('{"toString":1,"valueOf":1,"toJSON":1,"then":1}'),
];

export function oddity(random: Random): unknown {
  if (chance(random, 0.005)) return huge;
  return structuredClone(chance(random, 0.02) ? pick(random, deep) : pick(random, oddities));
}

/** Where a member stands: the object or list that has it, and its name in there. */
interface Place {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

function places(value: unknown, found: Place[] = [], levels = 8): Place[] {
  if (typeof value !== 'object' || value === null || levels === 0) return found;
  for (const key of Object.keys(value)) {
    found.push({ holder: value as Record<string, unknown>, key });
    places((value as Record<string, unknown>)[key], found, levels - 1);
  }
  return found;
}

/** Changes a frame in place. */
type Change = (random: Random, frame: Record<string, unknown>) => void;

const place = (random: Random, frame: Record<string, unknown>) => pick(random, places(frame)) as Place | undefined;

const changes: readonly Change[] = [
  /** Drops a member. */
  (random, frame) => {
    const found = place(random, frame);
    if (found !== undefined) delete found.holder[found.key];
  },
  /** Gives a member another type. */
  (random, frame) => {
    const found = place(random, frame);
    if (found !== undefined) found.holder[found.key] = oddity(random);
  },
  /** Puts one member in the place of another. */
  (random, frame) => {
    const [from, to] = [place(random, frame), place(random, frame)];
    if (from !== undefined && to !== undefined) to.holder[to.key] = structuredClone(from.holder[from.key]);
  },
  /** Adds a member that nobody knows. */
  (random, frame) => {
    const { holder } = place(random, frame) ?? { holder: frame };
    if (Array.isArray(holder)) holder.push(oddity(random));
    else holder[pick(random, ['extra', '_meta', 'result', 'error', 'method', 'params', 'id', 'constructor', 'toString'])] = oddity(random);
  },
  (random, frame) => {
    frame['id'] = pick(random, [null, 1.5, '', -1, 0, 'id', {}, [], true, '1', 1, 2 ** 60, 'x'.repeat(500)]);
  },
  (random, frame) => {
    frame['method'] = pick(random, [
      '',
      'tools',
      'tools/call/x',
      '__proto__',
      'toString',
      'server/discover',
      'initialize',
      'ping',
      'tasks/get',
    ]);
  },
  (random, frame) => {
    frame['jsonrpc'] = pick(random, ['1.0', 2, null, '2.0 ', undefined]);
  },
];

/** The frame with one to three changes. */
export function restructured(random: Random, frame: Json): Record<string, unknown> {
  const changed = structuredClone(frame) as Record<string, unknown>;
  for (let count = 1 + Math.floor(random() * 3); count > 0; count -= 1) pick(random, changes)(random, changed);
  return changed;
}

const broken = [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0x00], [0xef, 0xbb, 0xbf], [0x7b], [0x22], [0x5c], [0x2c]].map((bytes) =>
  Buffer.from(bytes),
);

/** The bytes of a frame, with the mistakes that no value can have: cut off, repeated, with foreign bytes; never with a line break. */
export function misspelt(random: Random, frame: Json): Buffer {
  const text = JSON.stringify(frame);
  const bytes = Buffer.from(text);
  const at = Math.floor(random() * bytes.length);
  switch (Math.floor(random() * 7)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), pick(random, broken), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), pick(random, broken), bytes.subarray(at + 1)]);
    case 3:
      return Buffer.from(pick(random, [`[${text}]`, `[${text},${text}]`, '[]', 'null', '7', '"text"', '{}', `${text}${text}`, `${text},`]));
    case 4: // a member twice
      return Buffer.from(`{${JSON.stringify(pick(random, Object.keys(frame)))}:${JSON.stringify(oddity(random))},${text.slice(1)}`);
    case 5:
      return Buffer.from(`${text.slice(0, -1)},${JSON.stringify(pick(random, Object.keys(frame)))}:${JSON.stringify(oddity(random))}}`);
    default:
      return Buffer.from(text.replace(/"(\w)/, () => "'$1"));
  }
}

/** The bytes of a frame, mutated in its structure or its spelling. */
export function mutated(random: Random, frame: Json): Buffer {
  return chance(random, 0.8) ? Buffer.from(JSON.stringify(restructured(random, frame))) : misspelt(random, frame);
}
