import { expect, test } from 'vitest';
import { isLogLevel, isWanted, logLevels, moreVerbose } from '../src/wire/log-level.ts';

test('the levels are those of RFC 5424, the most verbose first', () => {
  expect(logLevels).toEqual(['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']);
});

test('a level is more verbose than those after it and than none, not than itself', () => {
  for (const [place, level] of logLevels.entries()) {
    expect(moreVerbose(level, undefined)).toBe(true);
    for (const [other, than] of logLevels.entries()) expect(moreVerbose(level, than)).toBe(place < other);
  }
});

test('a client gets the messages of its level and the graver ones', () => {
  for (const [place, level] of logLevels.entries()) {
    for (const [least, wanted] of logLevels.entries()) expect(isWanted(level, wanted)).toBe(place >= least);
  }
});

test.each([undefined, null, 3, 'loud', 'DEBUG', '', { toString: 1 }])('a message of level %j is none that anybody wants', (level) => {
  expect(isWanted(level, 'debug')).toBe(false);
  expect(isLogLevel(level)).toBe(false);
});

test('each level is one', () => {
  expect(logLevels.every(isLogLevel)).toBe(true);
});
