import { fc, test } from '@fast-check/vitest';
import { expect } from 'vitest';
import { Lines } from '../src/wire/lines.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 }).map((line) => line.replaceAll('\n', ' '));
const cuts = fc.array(fc.nat(400), { maxLength: 12 });

/** The bytes in pieces: cut where `at` says. */
function pieces(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set([0, ...at.filter((place) => place < bytes.length), bytes.length])].sort((a, b) => a - b);
  return places.slice(1).map((end, index) => Buffer.from(bytes.subarray(places[index], end)));
}

function read(chunks: readonly Buffer[], largest: number) {
  const seen: string[] = [];
  const lines = new Lines(
    largest,
    (line) => seen.push(line),
    ({ problem }) => seen.push(`! ${problem}`),
  );
  for (const chunk of chunks) lines.push(chunk);
  lines.finish();
  return seen;
}

/** What a reader that has the whole stream at once makes of it. */
function expected(source: string, largest: number): string[] {
  const all = source.split('\n');
  const rest = all.pop() ?? '';
  const long = `! sent a line of more than ${largest} bytes`;
  const seen = all.flatMap((line) => (Buffer.byteLength(line) > largest ? [long] : line.trim() === '' ? [] : [line.trim()]));
  if (Buffer.byteLength(rest) > largest) return [...seen, long];
  return rest === '' ? seen : [...seen, '! ended in the middle of a line'];
}

test.prop([fc.array(text, { maxLength: 10 }), text, cuts, fc.integer({ min: 1, max: 60 })])(
  'however the stream is cut into chunks, the lines are the same',
  (lines, rest, at, largest) => {
    const source = lines.map((line) => `${line}\n`).join('') + rest;
    expect(read(pieces(Buffer.from(source), at), largest)).toEqual(expected(source, largest));
  },
);
