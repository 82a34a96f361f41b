import { describe, expect, test } from 'vitest';
import { Lines, sampleOf } from '../src/wire/lines.ts';
import type { FrameProblem } from '../src/wire/pipe.ts';

function reader(largest = 1_000) {
  const lines: string[] = [];
  const problems: FrameProblem[] = [];
  const reading = new Lines(
    largest,
    (line) => lines.push(line),
    (problem) => problems.push(problem),
  );
  const push = (...chunks: (string | Buffer)[]) => {
    for (const chunk of chunks) reading.push(Buffer.from(chunk));
  };
  return { lines, problems, push, finish: () => reading.finish() };
}

test('a character cut between two chunks arrives whole', () => {
  const { lines, problems, push } = reader();
  const bytes = Buffer.from('{"say":"안녕 🌊"}\n');
  for (const byte of bytes) push(Buffer.from([byte]));
  expect(lines).toEqual(['{"say":"안녕 🌊"}']);
  expect(problems).toEqual([]);
});

test('blank lines and carriage returns mean nothing', () => {
  const { lines, push } = reader();
  push('\n\r\n  \n{}\r\n\n[]\n');
  expect(lines).toEqual(['{}', '[]']);
});

test('a line that never ends is reported when the stream does', () => {
  const { lines, problems, push, finish } = reader();
  push('{"whole":1}\n{"ha', 'lf":');
  finish();
  expect(lines).toEqual(['{"whole":1}']);
  expect(problems).toEqual([{ problem: 'ended in the middle of a line', sample: '{"half":' }]);
});

test('a stream that ends after a line ends without a word', () => {
  const { problems, push, finish } = reader();
  push('{}\n');
  finish();
  expect(problems).toEqual([]);
});

describe('a line above the limit', () => {
  test('is dropped and reported, and the next one is read', () => {
    const { lines, problems, push } = reader(50);
    push('x'.repeat(30), 'x'.repeat(30), 'x'.repeat(30), '\n{"next":1}\n');
    expect(lines).toEqual(['{"next":1}']);
    expect(problems).toEqual([{ problem: 'sent a line of more than 50 bytes', sample: 'x'.repeat(60) }]);
  });

  test('one of exactly the limit is read', () => {
    const { lines, problems, push } = reader(50);
    push(`${'x'.repeat(50)}\n`, `${'y'.repeat(51)}\n`);
    expect(lines).toEqual(['x'.repeat(50)]);
    expect(problems).toHaveLength(1);
  });

  test('is reported even where it never ends', () => {
    const { problems, push, finish } = reader(50);
    push('x'.repeat(60));
    expect(problems).toEqual([]);
    finish();
    expect(problems).toHaveLength(1);
  });

  const filling = 'x'.repeat(2_000);
  test.each([
    ['at its head', `{"jsonrpc":"2.0","id":41,"result":{"text":"${filling}"}}`, 41],
    ['at its head with spaces', `{ "jsonrpc" : "2.0" , "id" : 41 , "result":{"text":"${filling}"}}`, 41],
    ['first of all', `{"id":41,"jsonrpc":"2.0","result":{"text":"${filling}"}}`, 41],
    ['at its end', `{"jsonrpc":"2.0","result":{"text":"${filling}"},"id":41}`, 41],
    ['before the version at its end', `{"result":{"text":"${filling}"},"id":41,"jsonrpc":"2.0"}`, 41],
    ['nowhere', `{"jsonrpc":"2.0","result":{"text":"${filling}"}}`, undefined],
    ['only inside its result', `{"jsonrpc":"2.0","result":{"rows":[{"id":7,"text":"${filling}"}]}}`, undefined],
    ['inside its result and at its end', `{"jsonrpc":"2.0","result":{"rows":[{"id":7,"text":"${filling}"}]},"id":41}`, 41],
    ['as the last member of its result', `{"jsonrpc":"2.0","result":{"text":"${filling}","id":7}}`, undefined],
  ])('tells whose answer it was: the id %s', (_where, line, id) => {
    const { problems, push } = reader(1_000);
    const bytes = Buffer.from(`${line}\n`);
    for (let at = 0; at < bytes.length; at += 300) push(bytes.subarray(at, at + 300));
    expect(problems.map((problem) => problem.id)).toEqual([id]);
  });

  test('costs no more memory than the limit, however long it is', () => {
    const { problems, push } = reader(1_000_000);
    const chunk = Buffer.alloc(65_536, 'x');
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    for (let sent = 0; sent < 4_000; sent += 1) {
      push(chunk);
      if (sent % 100 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before);
    }
    push('\n');
    expect(problems).toHaveLength(1);
    expect(problems[0]?.sample.length).toBeLessThanOrEqual(201);
    expect(most).toBeLessThan(100_000_000); // 262 MB went through
  });
});

test('a sample is never long', () => {
  expect(sampleOf('short')).toBe('short');
  expect(sampleOf('x'.repeat(10_000))).toBe(`${'x'.repeat(200)}…`);
});
