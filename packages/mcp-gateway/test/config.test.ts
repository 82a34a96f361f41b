import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf, httpFixture, stdioFixture, type TempDir, tempDir, until } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkConfig, readConfigFile } from '../src/config.ts';
import { ConfigError, createGateway, type GatewayConfig } from '../src/index.ts';

let folder: TempDir;
beforeAll(() => {
  folder = tempDir('config-');
});
afterAll(() => folder.remove());

let files = 0;
function write(text: string): string {
  files += 1;
  const file = join(folder.path, `tidegate-${files}.json`);
  writeFileSync(file, text);
  return file;
}

/** What is wrong with a file: `line:column pointer message`. */
async function problemsOf(text: string, use: (file: string) => Promise<unknown> = (file) => readConfigFile(file, {})): Promise<string[]> {
  const file = write(text);
  const error = await use(file).then(
    () => new Error('it was accepted'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw error;
  expect(error).toMatchObject({ code: 'ERR_CONFIG', file });
  expect(error.message).toBe(
    error.problems
      .map(({ line, column, pointer, message }) => `${file}:${line}:${column} ${pointer && `${pointer} `}${message}`)
      .join('\n'),
  );
  return error.problems.map(({ line, column, pointer, message }) => `${line}:${column} ${pointer} ${message}`);
}

describe('every mistake is told with its place', () => {
  const server = '"mcpServers": { "a": { "command": "node" } }';
  test.each<[string, string, string]>([
    ['unknown option', `{\n  ${server},\n  "servers": {}\n}`, "3:3 /servers unknown option 'servers'"],
    [
      'unknown option of a program',
      '{ "mcpServers": { "a": { "command": "node",\n"shell": true } } }',
      "2:1 /mcpServers/a/shell unknown option 'shell'",
    ],
    [
      'unknown option of an address',
      '{ "mcpServers": { "a": { "url": "http://a/",\n "args": [] } } }',
      "2:2 /mcpServers/a/args unknown option 'args'",
    ],
    [
      'unknown option of a breaker',
      '{ "mcpServers": { "a": { "command": "node", "breaker": {\n"opens": 1 } } } }',
      "2:1 /mcpServers/a/breaker/opens unknown option 'opens'",
    ],
    [
      'unknown option of a retry',
      '{ "mcpServers": { "a": { "command": "node", "retry": {\n"max": 1 } } } }',
      "2:1 /mcpServers/a/retry/max unknown option 'max'",
    ],
    [
      'unknown option of a token',
      `{ ${server}, "tokens": [ { "token": "t", "tenant": "a",\n"admin": true } ] }`,
      "2:1 /tokens/0/admin unknown option 'admin'",
    ],
    [
      'unknown option of a limit',
      `{ ${server}, "limits": [ { "perHour": 1 },\n{ "perHour": 1, "perDay": 3 } ] }`,
      "2:17 /limits/1/perDay unknown option 'perDay'",
    ],
    [
      'unknown option of a budget',
      `{ ${server}, "budgets": [{ "scope": {}, "limitUsd": 1, "period": "day",\n "limit": 1 }] }`,
      "2:2 /budgets/0/limit unknown option 'limit'",
    ],
    [
      'unknown option of a scope',
      `{ ${server}, "budgets": [{ "limitUsd": 1, "period": "day", "scope": {\n "model": "m" } }] }`,
      "2:2 /budgets/0/scope/model unknown option 'model'",
    ],
    [
      'unknown threshold',
      `{ ${server}, "budgets": [{ "limitUsd": 1, "period": "day", "scope": {}, "thresholds": {\n "red": 1 } }] }`,
      "2:2 /budgets/0/thresholds/red unknown option 'red'",
    ],
    [
      'unknown option of a price',
      `{ ${server}, "prices": { "x": { "perCallUsd": 1,\n "per": 1 } } }`,
      "2:2 /prices/x/per unknown option 'per'",
    ],
    ['a text for a number', `{ ${server},\n\t"port": "7300" }`, '2:2 /port expected number, received string'],
    ['a number for a text', '{ "mcpServers": { "a": {\n"command": 7 } } }', '2:1 /mcpServers/a/command expected string, received number'],
    [
      'a text for a list',
      '{ "mcpServers": { "a": { "command": "node",\n  "args": "x" } } }',
      '2:3 /mcpServers/a/args expected array, received string',
    ],
    [
      'an entry of a list',
      '{ "mcpServers": { "a": { "command": "node", "args": ["x",\n 7] } } }',
      '2:2 /mcpServers/a/args/1 expected string, received number',
    ],
    ['null', `{ ${server},\n"tokens": null }`, '2:1 /tokens expected array, received null'],
    ['a server that is a text', '{ "mcpServers": {\n "a": "node" } }', '2:2 /mcpServers/a expected object, received string'],
    [
      'a server with neither command nor url',
      '{ "mcpServers": {\n "a": {} } }',
      '2:2 /mcpServers/a/command expected string, received undefined',
    ],
    ['no servers', '\n { "port": 1 }', '2:2 /mcpServers expected record, received undefined'],
    ['servers that are a list', '{\n"mcpServers": [] }', '2:1 /mcpServers expected record, received array'],
    ['a list instead of an object', '[]', '1:1  expected object, received array'],
    [
      'a server twice',
      '{ "mcpServers": {\n "a": { "command": "node" },\n  "a": { "command": "deno" } } }',
      "3:3 /mcpServers/a 'a' stands here twice",
    ],
    ['an option twice', `{ ${server},\n"port": 1, "port": 2 }`, "2:12 /port 'port' stands here twice"],
    [
      'a member of a list entry twice',
      `{ ${server}, "tokens": [{ "token": "t", "tenant": "a",\n"token": "u" }] }`,
      "2:1 /tokens/0/token 'token' stands here twice",
    ],
    [
      'a bad server name',
      '{ "mcpServers": {\n "a b": { "command": "node" } } }',
      '2:2 /mcpServers/a b expected a server name of letters, digits, - and _',
    ],
    [
      'a server name that a pointer has to escape',
      '{ "mcpServers": {\n "a/b~c": { "command": "node" } } }',
      '2:2 /mcpServers/a~1b~0c expected a server name of letters, digits, - and _',
    ],
    [
      'a bad prefix',
      '{ "mcpServers": { "a": { "command": "node",\n"prefix": "a b" } } }',
      '2:1 /mcpServers/a/prefix expected only letters, digits, _ . and -',
    ],
    [
      'an address of another protocol',
      '{ "mcpServers": { "a": {\n"url": "file:///etc/passwd" } } }',
      '2:1 /mcpServers/a/url expected an http or https address',
    ],
    [
      'a variable that is not set',
      `{ "mcpServers": { "a": { "command": "node", "env": {\n "KEY": "\${env:NO_SUCH}" } } } }`,
      `2:2 /mcpServers/a/env/KEY \${env:NO_SUCH} names an environment variable that is not set`,
    ],
    [
      'a variable of an editor',
      `{ "mcpServers": { "a": { "command": "node", "args": [\n "\${workspaceFolder}/x"] } } }`,
      `2:2 /mcpServers/a/args/0 \${workspaceFolder} is not known here; an environment variable is written \${env:NAME}`,
    ],
    [
      'an input of an editor',
      `{ ${server},\n "tokens": [{ "tenant": "a", "token": "\${input:key}" }] }`,
      `2:30 /tokens/0/token \${input:key} is not known here; an environment variable is written \${env:NAME}`,
    ],
    [
      'an amount with too many places',
      `{ ${server}, "prices": { "x": {\n "perCallUsd": "0.0000000001" } } }`,
      '2:2 /prices/x/perCallUsd expected a decimal such as "12.50", with at most 9 places',
    ],
    [
      'a token twice',
      `{ ${server}, "tokens": [{ "token": "t", "tenant": "a" },\n{ "tenant": "b", "token": "t" }] }`,
      '2:18 /tokens/1/token stands for somebody else already',
    ],
    ['an empty file', '', '1:1  the file is empty; expected a JSON object'],
    ['only a comment', '// nothing\n', '1:1  the file is empty; expected a JSON object'],
  ])('%s', async (_name, text, expected) => {
    expect(await problemsOf(text)).toEqual([expected]);
  });

  test.each<[string, string, string]>([
    ['a brace that is missing', '{ "mcpServers": {', '1:18'],
    ['a value that is missing', '{\n  "port": }', '2:11'],
    ['no JSON at all', 'mcpServers:\n  a: node\n', '1:1'],
    ['a quote that is missing', '{\n "port: 1 }', '2:2'],
  ])('not JSON: %s', async (_name, text, place) => {
    const [first] = await problemsOf(text);
    expect(first).toMatch(new RegExp(`^${place}  not JSON: `));
  });

  test('a file that does not exist, and one that is a folder', async () => {
    const missing = join(folder.path, 'missing.json');
    await expect(readConfigFile(missing)).rejects.toMatchObject({ code: 'ERR_CONFIG', message: `${missing} there is no such file` });
    await expect(readConfigFile(folder.path)).rejects.toMatchObject({ code: 'ERR_CONFIG', file: folder.path });
  });

  test('all of them at once, in one error', async () => {
    const text = `{
  "port": 70000,
  "listTimeout": 1,
  "mcpServers": {
    "a": { "command": "\${env:NO_SUCH}", "timeoutMs": 0 },
    "b": { "url": "nowhere" }
  }
}`;
    expect((await problemsOf(text)).sort()).toEqual([
      '2:3 /port too big: expected number to be <=65535',
      "3:3 /listTimeout unknown option 'listTimeout'",
      `5:12 /mcpServers/a/command \${env:NO_SUCH} names an environment variable that is not set`,
      '5:41 /mcpServers/a/timeoutMs too small: expected number to be >=1',
      '6:12 /mcpServers/b/url expected an http or https address',
    ]);
  });

  test('an object that is no file has pointers without positions', () => {
    const given = { mcpServers: { a: { command: 'node', shell: true } }, port: Number.NaN };
    expect(() => checkConfig(given)).toThrow(
      expect.objectContaining({
        message: "/port expected number, received NaN\n/mcpServers/a/shell unknown option 'shell'",
        problems: [
          { pointer: '/port', message: 'expected number, received NaN' },
          { pointer: '/mcpServers/a/shell', message: "unknown option 'shell'" },
        ],
      }),
    );
    for (const value of [undefined, null, 7, 'x', []]) expect(() => checkConfig(value)).toThrow(ConfigError);
  });
});

describe('what a sign-in cannot go by is told with its place', () => {
  const isNot = 'expected https, or http on this machine';
  test.each<[string, object, string]>([
    ['a member that is none', { clientID: 'x' }, "/clientID unknown option 'clientID'"],
    ['something else than an object', true as never, ' expected object'],
    [
      'a client of no authorization server',
      { clientId: 'x' },
      '/issuer expected the authorization server that clientId is registered with',
    ],
    ['a secret of no client', { clientSecret: 'x' }, '/clientId expected what clientSecret belongs to'],
    ['an empty client', { clientId: '', issuer: 'https://as.example' }, '/clientId too small'],
    ['an issuer on plain http', { clientId: 'x', issuer: 'http://as.example' }, `/issuer ${isNot}`],
    ['an issuer that is no address', { clientId: 'x', issuer: 'as.example' }, '/issuer expected an http or https address'],
    ['a document on plain http', { clientMetadataUrl: 'http://127.0.0.1/client.json' }, '/clientMetadataUrl expected an https address'],
    ['a document without a path', { clientMetadataUrl: 'https://gate.example' }, '/clientMetadataUrl expected an address with a path'],
    ['two scopes in one', { scopes: ['a b'] }, '/scopes/0 expected one scope without spaces'],
    ['scopes in a text', { scopes: 'a b' }, '/scopes expected array'],
  ])('%s', async (_name, oauth, problem) => {
    const problems = await problemsOf(JSON.stringify({ mcpServers: { a: { url: 'https://a.example/', oauth } } }));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^1:\d+ /);
    expect(problems[0]).toContain(` /mcpServers/a/oauth${problem}`);
  });

  test('a header that would be sent in every user’s name', async () => {
    const config = (oauth?: object) =>
      JSON.stringify({ mcpServers: { a: { url: 'https://a.example/', headers: { Authorization: 'Bearer x', 'x-key': 'y' }, oauth } } });
    expect(await problemsOf(config({}))).toEqual([
      "1:59 /mcpServers/a/headers/Authorization expected none beside oauth: what is sent is each user's own",
    ]);
    await readConfigFile(write(config()), {});
  });

  test('a program has nobody to sign in to', async () => {
    expect(await problemsOf('{ "mcpServers": { "a": { "command": "node", "oauth": {} } } }')).toEqual([
      "1:45 /mcpServers/a/oauth unknown option 'oauth'",
    ]);
  });

  test.each([
    ['http://gate.example', isNot],
    ['https://gate.example/path', 'expected an address without a path'],
    ['gate.example', 'expected an http or https address'],
    ['ftp://127.0.0.1', 'expected an http or https address'],
  ])('publicUrl %s', async (publicUrl, problem) => {
    const [only, ...others] = await problemsOf(JSON.stringify({ mcpServers: {}, publicUrl }));
    expect(only).toBe(`1:18 /publicUrl ${problem}`);
    expect(others).toEqual([]);
  });

  test.each(['https://gate.example', 'https://gate.example:8443/', 'http://127.0.0.1:7300', 'http://[::1]:7300', 'http://localhost'])(
    'publicUrl %s is taken',
    async (publicUrl) => {
      expect((await readConfigFile(write(JSON.stringify({ mcpServers: {}, publicUrl })), {})).config.publicUrl).toBe(publicUrl);
    },
  );
});

describe('what the machine and the packages cannot use', () => {
  const create = async (file: string): Promise<void> => {
    const gateway = await createGateway(file);
    await gateway.close();
  };

  test.each<[string, string, RegExp]>([
    [
      'a program that does not exist',
      '{ "mcpServers": { "a": {\n"command": "no-such-program-here" } } }',
      /^2:1 \/mcpServers\/a\/command there is no program 'no-such-program-here' on the PATH$/,
    ],
    [
      'a program that does not exist at its path',
      '{ "mcpServers": { "a": {\n"command": "./no-such-program" } } }',
      /^2:1 \/mcpServers\/a\/command there is no program '\.\/no-such-program'/,
    ],
    [
      'a folder that does not exist',
      '{ "mcpServers": { "a": { "command": "node",\n"cwd": "no-such-folder" } } }',
      /^2:1 \/mcpServers\/a\/cwd there is no folder '.*no-such-folder'$/,
    ],
    [
      'a limit of nothing',
      '{ "mcpServers": {}, "limits": [{ "perMinute": 1 },\n{ "burst": 3 }] }',
      /^2:1 \/limits\/1 names neither perMinute nor perHour$/,
    ],
    [
      'a budget of 0',
      '{ "mcpServers": {}, "budgets": [{ "period": "day", "scope": { "tenant": "a" },\n"limitUsd": 0 }] }',
      /^2:1 \/budgets\/0\/limitUsd .*above 0$/,
    ],
    [
      'a budget for nobody',
      '{ "mcpServers": {}, "budgets": [{ "period": "day", "limitUsd": 1,\n"scope": {} }] }',
      /^2:1 \/budgets\/0\/scope must name at least one/,
    ],
    [
      'a threshold in percent',
      '{ "mcpServers": {}, "budgets": [{ "period": "day", "scope": { "tenant": "a" }, "limitUsd": 1,\n"thresholds": {\n"warning": 90 } }] }',
      /^[23]:1 \/budgets\/0\/thresholds/,
    ],
    [
      'a time zone that does not exist',
      '{ "mcpServers": {}, "budgets": [{ "period": "day", "scope": { "tenant": "a" }, "limitUsd": 1,\n"timeZone": "Mars" }] }',
      /^2:1 \/budgets\/0\/timeZone must be an IANA time zone/,
    ],
    [
      'two budgets of one name',
      '{ "mcpServers": {}, "budgets": [\n{ "name": "x", "period": "day", "scope": { "tenant": "a" }, "limitUsd": 1 },\n{ "period": "day", "scope": { "tenant": "b" }, "limitUsd": 1, "name": "x" }] }',
      /^3:63 \/budgets\/1\/name 'x' is already taken$/,
    ],
    ['a price beyond all measure', '{ "mcpServers": {}, "prices": { "x": {\n"perCallUsd": 1e300 } } }', /^2:1 \/prices\/x\/perCallUsd /],
  ])('%s', async (_name, text, expected) => {
    expect(await problemsOf(text, create)).toEqual([expect.stringMatching(expected)]);
  });

  test('all of them at once, and nothing has been started or written', async () => {
    const fixture = stdioFixture();
    const { command, args, env } = fixture;
    const before = childrenOf(process.pid);
    const problems = await problemsOf(
      JSON.stringify({
        mcpServers: { good: { command, args, env }, a: { command: 'no-such-program-here' }, b: { command: 'node', cwd: './nowhere' } },
        budgets: [{ scope: {}, limitUsd: 1, period: 'day' }],
        dataDir: 'never-made',
      }),
      create,
    );
    expect(problems.map((problem) => problem.split(' ')[1])).toEqual(['/mcpServers/a/command', '/mcpServers/b/cwd', '/budgets/0/scope']);
    expect(fixture.control.pids()).toEqual([]);
    expect(childrenOf(process.pid)).toEqual(before);
    expect(existsSync(join(folder.path, 'never-made'))).toBe(false);
    await fixture[Symbol.asyncDispose]();
  });

  test.each<[string, (path: string) => void]>([
    ['a file stands in its place', (path) => writeFileSync(path, 'a file')],
    ['its ledger is a folder', (path) => mkdirSync(join(path, 'ledger.db'), { recursive: true })],
  ])('a data folder that cannot be written: %s', async (_name, spoil) => {
    const fixture = stdioFixture();
    const { command, args, env } = fixture;
    const name = `data-${files}`;
    spoil(join(folder.path, name));
    const text = `{ "mcpServers": { "a": ${JSON.stringify({ command, args, env })} },\n"dataDir": "${name}" }`;
    expect(await problemsOf(text, create)).toEqual([
      expect.stringMatching(`^2:1 /dataDir data cannot be kept in '${join(folder.path, name)}': .`),
    ]);
    expect(fixture.control.pids()).toEqual([]);
    await fixture[Symbol.asyncDispose]();
  });

  test('a program that is there but may not be run', async () => {
    const file = join(folder.path, 'not-executable');
    writeFileSync(file, '#!/bin/sh\n');
    chmodSync(file, 0o644);
    expect(await problemsOf('{ "mcpServers": { "a": { "command": "./not-executable" } } }', create)).toEqual([
      "1:26 /mcpServers/a/command there is no program './not-executable' on the PATH",
    ]);
  });

  test('a server that is disabled is not looked for', async () => {
    const data = join(folder.path, 'disabled');
    const gateway = await createGateway({ mcpServers: { a: { command: 'no-such-program-here', disabled: true } }, dataDir: data });
    expect(await gateway.fetch(new Request('http://localhost/api/mcp/tools')).then((reply) => reply.json())).toEqual({ tools: [] });
    await gateway.close();
  });
});

describe('what is accepted', () => {
  test('comments, trailing commas, a byte order mark and what editors write beside it', async () => {
    const text = `\uFEFF// of the team
{
  "$schema": "https://example.com/schema.json",
  "mcpServers": {
    /* as VS Code writes it */
    "a": { "type": "stdio", "command": "node", "args": [], "alwaysAllow": ["x"], "autoApprove": [], "description": "d", "gallery": true, "version": "1", },
    "b": { "type": "http", "url": "http://localhost:1/mcp", "headers": {}, "disabled": true, },
    "c": { "type": "sse", "url": "http://localhost:1/sse", },
  },
}`;
    const { config } = await readConfigFile(write(text));
    expect(Object.keys(config.mcpServers)).toEqual(['a', 'b', 'c']);
  });

  test(`\${env:NAME} anywhere in a text, once or often`, () => {
    const env = { HOST: 'localhost', KEY: 'k$&' };
    const { config } = checkConfig(
      { mcpServers: { a: { url: `http://\${env:HOST}:1/\${env:HOST}`, headers: { authorization: `Bearer \${env:KEY}` } } } },
      '/',
      env,
    );
    expect(config.mcpServers['a']).toMatchObject({ url: 'http://localhost:1/localhost', headers: { authorization: 'Bearer k$&' } });
  });

  test('an environment variable cannot bring in another', () => {
    const { config } = checkConfig({ mcpServers: { a: { command: 'node', args: [`\${env:A}`] } } }, '/', { A: `\${env:B}`, B: 'secret' });
    expect(config.mcpServers['a']).toMatchObject({ args: [`\${env:B}`] });
  });

  test('relative folders are relative to the file, of an object to the working directory', async () => {
    const text = '{ "mcpServers": { "a": { "command": "node", "cwd": "sub" }, "b": { "command": "node" } }, "dataDir": "../data" }';
    const { config } = await readConfigFile(write(text));
    expect(config.mcpServers).toMatchObject({ a: { cwd: join(folder.path, 'sub') }, b: { cwd: folder.path } });
    expect(config.dataDir).toBe(join(folder.path, '..', 'data'));
    const plain = checkConfig({ mcpServers: { a: { command: 'node' } } }).config;
    expect(plain).toMatchObject({ dataDir: join(process.cwd(), '.tidegate'), mcpServers: { a: { cwd: process.cwd() } } });
  });

  test('the data folder is made for its owner alone, and the server runs in its folder with a program beside it', async () => {
    mkdirSync(join(folder.path, 'place'));
    const script = join(folder.path, 'place', 'server.sh');
    writeFileSync(script, '#!/bin/sh\npwd > where\n');
    chmodSync(script, 0o755);
    const file = write('{ "mcpServers": { "a": { "command": "./server.sh", "cwd": "place" } }, "dataDir": "own/data" }');
    const gateway = await createGateway(file);
    await until(() => existsSync(join(folder.path, 'place', 'where')), { what: 'the server has run in its folder' });
    expect(existsSync(join(folder.path, 'own', 'data', 'ledger.db'))).toBe(true);
    expect(statSync(join(folder.path, 'own', 'data')).mode & 0o777).toBe(0o700);
    await gateway.close();
  });

  test("the caller's object stays as it is", async () => {
    await using fixture = await httpFixture();
    const config = {
      mcpServers: { a: { url: fixture.url, headers: { home: `\${env:HOME}` } }, b: { command: 'node', cwd: '.', disabled: true } },
      dataDir: join(folder.path, 'frozen'),
      budgets: [{ scope: { tenant: 'a' }, limitUsd: '1', period: 'day' }],
      limits: [{ perMinute: 3 }],
    } satisfies GatewayConfig;
    const before = structuredClone(config);
    const gateway = await createGateway(deepFrozen(config));
    await gateway.close();
    expect(config).toEqual(before);
  });
});

function deepFrozen<T extends object>(value: T): T {
  for (const member of Object.values(value)) if (typeof member === 'object' && member !== null) deepFrozen(member);
  return Object.freeze(value);
}
