import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseList } from 'structured-headers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** What curl got: the status, the headers by their names in small letters, and the body. */
interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function curl(...args: string[]): Promise<Got> {
  const { stdout } = await promisify(execFile)('curl', ['--silent', '--show-error', '--max-time', '10', '--include', ...args]);
  const [head = '', ...body] = stdout.split('\r\n\r\n');
  const [line = '', ...fields] = head.split('\r\n');
  const headers = fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]);
  return { status: Number(line.split(' ')[1]), headers: Object.fromEntries(headers), body: body.join('\r\n\r\n') };
}

/** A structured list of strings with parameters, as plain objects. */
const read = (field: string | undefined) =>
  parseList(field ?? '').map(([name, parameters]) => ({ name, ...Object.fromEntries(parameters) }));

describe.each(['http', 'express', 'fastify', 'hono'])('the sample service of %s answers curl', (name) => {
  let service: ChildProcess;
  let url: string;
  let output = '';

  beforeAll(async () => {
    const loader = ['--import', 'tsx', '--conditions=@tidegate/source'];
    service = spawn(process.execPath, [...loader, `examples/limits-${name}.ts`, '--stay'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const line = new Promise<string>((resolve, reject) => {
      const heard = (text: unknown) => {
        output += String(text);
        if (output.includes('\n') && output.startsWith('http')) resolve(output.trim());
      };
      service.stdout?.on('data', heard);
      service.stderr?.on('data', heard);
      service.once('exit', () => reject(new Error(`the service ended: ${output}`)));
    });
    url = await line;
  });

  afterAll(async () => {
    service.removeAllListeners('exit');
    if (service.exitCode !== null) return;
    const ended = once(service, 'exit');
    service.kill();
    await ended;
  });

  test('that a request is allowed, with both generations of headers', async () => {
    const before = Math.floor(Date.now() / 1_000);
    const { status, headers, body } = await curl(`${url}/`);
    expect([status, body]).toEqual([200, 'hello\n']);
    expect(read(headers['ratelimit-policy'])).toEqual([{ name: 'minute', q: 3, w: 60 }]);
    expect(read(headers['ratelimit'])).toEqual([{ name: 'minute', r: 2, t: 20 }]);
    expect(headers).toMatchObject({ 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': '2' });
    expect(Number(headers['x-ratelimit-reset'])).toBeGreaterThanOrEqual(before + 20);
    expect(Number(headers['x-ratelimit-reset'])).toBeLessThan(before + 40);
    expect(headers).not.toHaveProperty('retry-after');
  });

  test('that one too many is refused, and when to come back', async () => {
    await Promise.all([curl(`${url}/`), curl(`${url}/`), curl(`${url}/`)]);
    const { status, headers, body } = await curl(`${url}/`);
    expect(status).toBe(429);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    const problem = JSON.parse(body);
    expect(problem).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      'violated-policies': ['minute'],
      code: 'ERR_RATE_LIMITED',
      limit: 'minute',
    });
    const [limit] = read(headers['ratelimit']) as unknown as [{ r: number; t: number }];
    const wait = Number(headers['retry-after']);
    expect(limit.r).toBe(0);
    expect(wait).toBe(Math.ceil(problem.retryAfterMs / 1_000));
    expect(wait).toBeGreaterThanOrEqual(limit.t);
    expect(wait).toBeLessThanOrEqual(20);
  });

  test('that a cost is reserved and made exact, and that one which never fits is refused for good', async () => {
    const first = await curl('-H', 'x-max-tokens: 900', `${url}/chat`);
    expect([first.status, read(first.headers['ratelimit'])[0]]).toMatchObject([200, { name: 'tokens', r: 100 }]);
    expect(read(first.headers['ratelimit-policy'])).toEqual([{ name: 'tokens', q: 1_000, 'tidegate-unit': 'tokens', w: 60 }]);
    const second = await curl('-H', 'x-max-tokens: 800', `${url}/chat`); // fits only if 100 of the 900 were used
    expect(second.status).toBe(200);
    const never = await curl('-H', 'x-max-tokens: 1001', `${url}/chat`);
    expect([never.status, JSON.parse(never.body).limit, never.headers['retry-after']]).toEqual([413, 'tokens', undefined]);
  });

  test('that the store cannot be asked', async () => {
    const { status, headers, body } = await curl(`${url}/shared`);
    expect(status).toBe(503);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(JSON.parse(body)).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
      status: 503,
      code: 'ERR_STORE_UNAVAILABLE',
    });
  });

  test('without a word of an error', () => expect(output.trim()).toBe(url));
});
