import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TempDir, tempDir } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { replayTrace } from '../src/replay.ts';

let folder: TempDir;
beforeAll(() => {
  folder = tempDir('trace-');
});
afterAll(() => folder.remove());

function read(content: string) {
  const path = join(folder.path, 'bad.ndjson');
  writeFileSync(path, content);
  return replayTrace(path, { policies: { a: {} } });
}

describe('a trace', () => {
  test.each<[string, string]>([
    [
      '{"startMs":1,"durationMs":1,"outcome":"success"}\n{"startMs":1,"durationMs":1,outcome:1}\n',
      'bad.ndjson:2:29 not JSON: InvalidSymbol',
    ],
    [
      '\n{"startMs":1,"durationMs":-1,"outcome":"success"}\n',
      'bad.ndjson:2:14 durationMs must be a number from 0 to 8640000000000000, not -1',
    ],
    [
      '{"startMs":1,"durationMs":1,"outcome":"slow"}\n',
      'bad.ndjson:1:29 outcome must be one of success, failure, ignore, throttled, rejected, not "slow"',
    ],
    [
      '{"startMs":1,"durationMs":1,"outcome":"throttled"}\n',
      "bad.ndjson:1:1 throttledMs must be a number from 0, and there with outcome 'throttled' only, not missing",
    ],
    ['{"startMs":1,"durationMs":1,"outcome":"success","name":5}\n', 'bad.ndjson:1:49 name must be a string, not 5'],
    ['{"dropped":0}\n', 'bad.ndjson:1:2 dropped must be a whole number from 1, not 0'],
    ['[]\n', 'bad.ndjson:1:1 a call must be an object'],
    ['{"startMs":1,"durationMs":1,"outcome":"success",}\n', 'bad.ndjson:1:49 not JSON'],
    [`${'['.repeat(60_000)}\n`, 'bad.ndjson:1:65 nested deeper than 64 levels'],
    [`${' '.repeat(65_537)}\n`, 'bad.ndjson:1:1 a line is longer than 65536 bytes'],
  ])('with a line that is no call is refused with its place: example %#', async (content, message) => {
    const error = await read(content).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ name: 'TraceError', code: 'ERR_TRACE', message: expect.stringContaining(message) });
  });

  test('is read across the borders of its pieces, long lines and characters of several bytes too', async () => {
    const line = (index: number) =>
      `${JSON.stringify({ startMs: index, durationMs: 1, outcome: 'success', note: '가'.repeat((index * 7919) % 20_000) })}\n`;
    const content = Array.from({ length: 300 }, (_, index) => line(index)).join('');
    expect(content.length).toBeGreaterThan(2_000_000);
    expect((await read(content)).trace).toMatchObject({ calls: 300, successes: 300, fromMs: 0, toMs: 300 });
    const broken = `${content}{"startMs":-1,"durationMs":1,"outcome":"success"}\n`;
    await expect(read(broken)).rejects.toMatchObject({ line: 301, column: 2, file: join(folder.path, 'bad.ndjson') });
  });

  test('may be empty', async () => {
    expect((await read('')).trace.calls).toBe(0);
  });
});
