import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvLine } from '../../src/http/csv.ts';
import { runs } from '../runs.ts';

const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom('=1', '"', '\r\n', ',', "'=1", ' +1', '-1'));

test('any text comes back as it was but for an apostrophe, and none of it is a formula', () => {
  fc.assert(
    fc.property(fc.array(text, { minLength: 2, maxLength: 5 }), (cells) => {
      const [line = []] = parse(csvLine(cells), { bom: false, record_delimiter: '\r\n' }) as string[][];
      expect(line.map((cell, index) => (cell === `'${cells[index]}` ? cells[index] : cell))).toEqual(cells);
      for (const cell of line) expect(cell).not.toMatch(/^\s*[=+\-@＝＋－＠]|^[\t\r\n]/);
    }),
    runs(500),
  );
});
