import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { keepOpen } from '../src/wire/change-stream.ts';
import { type HttpStream, openEvents } from '../src/wire/exchange.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a stream of events says every 25 s that it is there, and nothing more when it has ended', () => {
  const written: string[] = [];
  const closed: (() => void)[] = [];
  const stream: HttpStream = { write: (text) => written.push(text), end: () => {}, onClose: (fn) => closed.push(fn) };
  openEvents({ send: () => {}, onGone: () => {}, stream: () => stream });
  vi.advanceTimersByTime(24_999);
  expect(written).toEqual([]);
  vi.advanceTimersByTime(25_001);
  expect(written).toEqual([':\n\n', ':\n\n']);
  for (const fn of closed) fn();
  vi.advanceTimersByTime(100_000);
  expect(written).toHaveLength(2);
});

test('a stream that a server has no use for is not opened again', async () => {
  const open = vi.fn(async () => false);
  const missed = vi.fn();
  await keepOpen({ open, missed, over: () => false, signal: new AbortController().signal });
  expect(open).toHaveBeenCalledTimes(1);
  expect(missed).not.toHaveBeenCalled();
});
