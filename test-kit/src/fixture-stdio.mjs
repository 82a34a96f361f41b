/**
 * The stdio fixture as a process. From the environment: MCP_FIXTURE_OPTIONS (JSON), MCP_FIXTURE_LOG (a file that gets one
 * JSON line for the start and for each executed or cancelled call), MCP_FIXTURE_CONTROL (a JSON file of the faults that are
 * on, read again for each message).
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { FixtureToolset } from './fixture-toolset.mjs';

const { MCP_FIXTURE_OPTIONS = '{}', MCP_FIXTURE_LOG, MCP_FIXTURE_CONTROL } = process.env;
const { stubborn, ...options } = JSON.parse(MCP_FIXTURE_OPTIONS);

const record = (event) => MCP_FIXTURE_LOG && appendFileSync(MCP_FIXTURE_LOG, `${JSON.stringify({ ...event, pid: process.pid })}\n`);
const faults = () => (MCP_FIXTURE_CONTROL ? JSON.parse(readFileSync(MCP_FIXTURE_CONTROL, 'utf8')) : {});

const wire = {
  send: (message) => process.stdout.write(`${JSON.stringify(message)}\n`),
  raw: (text) => process.stdout.write(text),
  die: () => process.stdout.write('', () => process.exit(70)),
};

const session = new FixtureToolset({ ...options, record }).open(wire.send);

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    wire.send({ jsonrpc: '2.0', id: null, error: { code: -32700, message: 'Parse error' } });
    return undefined;
  }
}

function receive(line) {
  const message = parse(line);
  if (!message) return;
  const { methods, hang, slow, garbage } = faults();
  const hit = !methods || methods.includes(message.method);
  if (hit && hang) return;
  if (hit && garbage) wire.raw('this is not JSON\n');
  if (hit && slow) setTimeout(() => session.handle(message, wire), slow);
  else void session.handle(message, wire);
}

record({ event: 'start' });
if (faults().exitAtStart) process.exit(71);
const input = createInterface({ input: process.stdin }).on('line', receive);
if (stubborn) {
  process.on('SIGTERM', () => record({ event: 'refused-to-end' }));
  setInterval(() => {}, 1_000_000);
} else {
  input.on('close', () => process.exit(0));
}
