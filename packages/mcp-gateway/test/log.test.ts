import { expect, test } from 'vitest';
import { Listeners } from '../src/core.ts';
import type { Gateway } from '../src/index.ts';
import { logEvents, logWarnings, stderrLogger } from '../src/log.ts';

class Sink {
  readonly isTTY: boolean;
  readonly lines: string[] = [];
  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }
  write(line: string): boolean {
    this.lines.push(line);
    return true;
  }
}

function logged(tell: (events: Listeners) => void, isTTY = false): string[] {
  const sink = new Sink(isTTY);
  const events = new Listeners();
  logEvents(events as unknown as Gateway, stderrLogger(sink as unknown as NodeJS.WriteStream));
  tell(events);
  return sink.lines;
}

const traceId = '0af7651916cd43dd8448eb211c80319c';
const call = { tenant: 'acme', kind: 'tool', name: 'own__x', counted: 'own__x', server: 'own', traceId, durationMs: 1 } as const;

test('each event is one JSON line with its time, level, text and members', () => {
  const lines = logged((events) => {
    events.emit('server', { server: 'own', tenant: 'acme', state: 'up' });
    events.emit('server', { server: 'own', tenant: 'acme', state: 'down', reason: "server 'own' ended\nwith a newline" });
    events.emit('circuit', { server: 'own', from: 'closed', to: 'open', reason: 'threshold' });
    events.emit('circuit', { server: 'own', from: 'half-open', to: 'closed', reason: 'probe' });
    events.emit('fallback', { server: 'own', fallback: 'own (fallback)', name: 'own__x', traceId });
    events.emit('budget', { budget: 'b', level: 'warning', spentUsd: '9', limitUsd: '10' });
    events.emit('frame', { server: 'own', problem: 'sent a line that is not JSON', sample: 'hello' });
    events.emit('collision', { name: 'x', holder: 'a', other: 'b' });
    events.emit('call', { ...call, outcome: 'refused', code: 'ERR_RATE_LIMITED', problem: 'slow down' });
    events.emit('fault', { error: new Error('inside'), traceId });
    events.emit('fault', { error: 'only a text', traceId: '' });
    const alert = { budget: 'b', level: 'warning', sink: 'webhook' };
    events.emit('alert', { ...alert, state: 'delivered' });
    events.emit('alert', { ...alert, state: 'failed', reason: 'away' });
    events.emit('alert', { ...alert, state: 'given-up', reason: 'gone' });
  });
  for (const line of lines) expect(line).toMatch(/^\{[^\n]*\}\n$/);
  const parsed = lines.map((line) => JSON.parse(line));
  for (const { time } of parsed) expect(new Date(time).toISOString()).toBe(time);
  expect(parsed.map(({ level, event, message }) => [level, event, message])).toEqual([
    ['info', 'server', "server 'own' is up"],
    ['warn', 'server', "server 'own' ended\nwith a newline"],
    ['warn', 'circuit', "circuit of 'own' is open (threshold)"],
    ['info', 'circuit', "circuit of 'own' is closed (probe)"],
    ['info', 'fallback', "'own__x' went to own (fallback)"],
    ['warn', 'budget', "budget 'b' is warning: 9 of 10 USD"],
    ['warn', 'frame', "server 'own' sent a line that is not JSON"],
    ['warn', 'collision', "'x' is offered by 'a', which has it, and by 'b'"],
    ['warn', 'call', "'own__x' of acme: ERR_RATE_LIMITED, slow down"],
    ['error', 'fault', 'the gateway failed'],
    ['error', 'fault', 'the gateway failed'],
    ['info', 'alert', "'webhook' was told that budget 'b' is warning"],
    ['warn', 'alert', "'webhook' could not yet be told that budget 'b' is warning: away"],
    ['error', 'alert', "'webhook' will not be told that budget 'b' is warning: gone"],
  ]);
  expect(parsed[11]).toMatchObject({ budget: 'b', budgetLevel: 'warning', sink: 'webhook', state: 'delivered' });
  expect(parsed[4]).toMatchObject({ trace_id: traceId });
  expect(parsed[8]).toMatchObject({ trace_id: traceId, tenant: 'acme', code: 'ERR_RATE_LIMITED' });
  expect(parsed[5]).toMatchObject({ budget: 'b', budgetLevel: 'warning', spentUsd: '9', limitUsd: '10' });
  expect(parsed[8]).not.toHaveProperty('traceId');
  expect(parsed[9].error).toMatch(/^Error: inside\n/);
  expect(parsed[10].error).toBe('only a text');
});

test("a member of an event does not take the place of the line's own", () => {
  const sink = new Sink(false);
  stderrLogger(sink as unknown as NodeJS.WriteStream).info('text', { level: 'fatal', message: 'other', time: 0, more: 1 });
  expect(JSON.parse(`${sink.lines[0]}`)).toEqual({ time: expect.stringMatching(/Z$/), level: 'info', message: 'text', more: 1 });
});

test('calls that were answered are no news', () => {
  const tell = (events: Listeners) => {
    for (const outcome of ['ok', 'error', 'cancelled'] as const) events.emit('call', { ...call, outcome });
    events.emit('retry', { server: 'own', attempt: 2 });
    events.emit('catalog', { tenant: 'acme' });
  };
  expect(logged(tell)).toEqual([]);
});

test('on a terminal it is one line of text, which nothing that a server says can break or colour', () => {
  const lines = logged((events) => {
    events.emit('server', { server: 'own', tenant: 'acme', state: 'up' });
    events.emit('server', { server: 'own', tenant: 'acme', state: 'down', reason: 'it said: \u001b[31mred\u0007\r\nand \u009b more' });
  }, true);
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} info {2}server 'own' is up\n$/);
  expect(lines[1]?.slice(13)).toBe('warn  it said: ?[31mred???and ? more\n');
});

test('warnings of the process are lines of the log, but for the age of its SQLite', async () => {
  const before = process.listeners('warning');
  const lines: [string, object | undefined][] = [];
  const logger = { info: () => {}, warn: (message: string, fields?: object) => lines.push([message, fields]), error: () => {} };
  try {
    logWarnings(logger);
    process.emitWarning('SQLite is an experimental feature', 'ExperimentalWarning');
    process.emitWarning('the tide is high', 'TideWarning');
    await new Promise((resolve) => setImmediate(resolve));
    expect(lines).toEqual([['the tide is high', expect.objectContaining({ event: 'warning', name: 'TideWarning' })]]);
  } finally {
    process.removeAllListeners('warning');
    for (const listener of before) process.on('warning', listener);
  }
});
