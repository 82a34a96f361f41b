import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ManualClock, type TempDir, tempDir } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PolicyFile, PolicyFileError, policyFileSchema } from '../src/policy-file.ts';

let folder: TempDir;
beforeAll(() => {
  folder = tempDir('policy-format-');
});
afterAll(() => folder.remove());

function opened(content: string | Uint8Array): PolicyFile {
  const path = join(folder.path, 'retry_policy.json');
  writeFileSync(path, content);
  return new PolicyFile({ path, watch: false, clock: new ManualClock() });
}

function refused(content: string | Uint8Array): PolicyFileError {
  try {
    opened(content);
  } catch (error) {
    if (error instanceof PolicyFileError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

const lines = (content: string | Uint8Array) => refused(content).message.replaceAll(`${folder.path}/`, '').split('\n');

describe('a policy file is refused with everything that is wrong', () => {
  test('at its line, column and pointer, with what is allowed', () => {
    const text = `{
  // comments and trailing commas are fine
  "defaults": { "retry": { "jitter": 2, } },
  "policies": {
    "anthropic": {
      "retry": { "maxAttempts": 0, "maxAttemps": 3 },
      "circuitBreaker": { "failureRateThreshold": 50, "slidingWindow": { "type": "count", "size": 0, "buckets": 3 } }
    },
    "search": { "timeout": 5, "cache": {} }
  }
}`;
    expect(lines(text)).toEqual([
      'retry_policy.json:3:28 /defaults/retry/jitter jitter must be a number from 0 to 1, not 2',
      'retry_policy.json:6:18 /policies/anthropic/retry/maxAttempts maxAttempts must be a whole number from 1 to 1000, not 0',
      "retry_policy.json:6:36 /policies/anthropic/retry/maxAttemps retry: unknown option 'maxAttemps'; known are maxAttempts, backoff, initialDelayMs, multiplier, maxDelayMs, jitter, maxElapsedMs",
      'retry_policy.json:7:27 /policies/anthropic/circuitBreaker/failureRateThreshold failureRateThreshold must be a fraction above 0 and at most 1, not 50 (for 50 % write 0.5)',
      'retry_policy.json:7:91 /policies/anthropic/circuitBreaker/slidingWindow/size slidingWindow.size must be a whole number from 1 to 1000000, not 0',
      "retry_policy.json:7:102 /policies/anthropic/circuitBreaker/slidingWindow/buckets slidingWindow: unknown option 'buckets'; known are type, size",
      'retry_policy.json:9:28 /policies/search/timeout timeout must be an object, not 5',
      "retry_policy.json:9:31 /policies/search/cache a policy: unknown option 'cache'; known are retry, circuitBreaker, bulkhead, timeout",
    ]);
  });

  test('with code, file, value and position as fields', () => {
    const error = refused('{"policies":{"a/b":{"retry":{"maxAttempts":1.5}}}}');
    expect(error.code).toBe('ERR_POLICY_FILE');
    expect(error.file).toBe(join(folder.path, 'retry_policy.json'));
    expect(error.problems).toEqual([
      {
        pointer: '/policies/a~1b/retry/maxAttempts',
        message: 'maxAttempts must be a whole number from 1 to 1000, not 1.5',
        line: 1,
        column: 30,
        value: 1.5,
      },
    ]);
  });

  test('where options contradict each other, each one that does, and what is inherited is said to be', () => {
    const rates = `{"policies":{"a":{"circuitBreaker":{"failureRateThreshold":0.5,"slidingWindow":{"type":"consecutive","failures":1},"minimumNumberOfCalls":3}}}}`;
    expect(refused(rates).problems.map(({ pointer, rule }) => [pointer, rule])).toEqual([
      ['/policies/a/circuitBreaker/failureRateThreshold', 'combination'],
      ['/policies/a/circuitBreaker/minimumNumberOfCalls', 'combination'],
    ]);
    const inherited = `{"defaults":{"circuitBreaker":{"slidingWindow":{"type":"count","size":20},"minimumNumberOfCalls":20}},
      "policies":{"a":{"circuitBreaker":{"slidingWindow":{"type":"count","size":5}}},"b":{}}}`;
    expect(lines(inherited)).toEqual([
      'retry_policy.json:2:24 /policies/a/circuitBreaker minimumNumberOfCalls (20) is above slidingWindow.size (5): the circuit could never open (minimumNumberOfCalls is inherited from defaults; null takes it away)',
    ]);
    const both = `{"defaults":{"circuitBreaker":{"slowCallRateThreshold":1,"slidingWindow":{"type":"count","size":5}}},"policies":{"a":{},"b":{}}}`;
    expect(refused(both).problems.map(({ pointer }) => pointer)).toEqual(['/defaults/circuitBreaker/slowCallRateThreshold']);
  });

  test('where a required option is missing after all inheritance', () => {
    expect(lines('{"policies":{"a":{"timeout":{}}}}')[0]).toMatch(
      /:1:19 \/policies\/a\/timeout timeout needs at least one of totalMs, firstItemMs and idleMs$/,
    );
    expect(opened('{"defaults":{"timeout":{"totalMs":5}},"policies":{"a":{"timeout":{}}}}').names).toEqual(['a']);
  });

  test.each([
    ['{"policies":{"a":{},"a":{}}}', ":1:21 /policies/a 'a' stands here twice"],
    ['{"policies":{"a":{"retry":{"jitter":1,"jitter":0}}}}', ":1:39 /policies/a/retry/jitter 'jitter' stands here twice"],
    ['{"policies":{},"policies":{}}', ":1:16 /policies 'policies' stands here twice"],
    ['{}', ":1:1 'policies' is missing: an object with a policy for each name"],
    ['[]', ':1:1 a policy file must be an object, not an array'],
    ['{"policies":{"":{}}}', ':1:14 /policies/ a policy needs a name of at least one character'],
    ['{"policies":{"a":null}}', ':1:18 /policies/a a policy must be an object, not null'],
    ['{"$schema":1,"policies":{}}', ':1:2 /$schema $schema must be a string'],
    ['', ':1:1 the file is empty; expected a JSON object'],
    [' // nothing\n', ':1:1 the file is empty; expected a JSON object'],
    ['{"policies":{"a":{', ':1:19 not JSON: CloseBraceExpected'],
    ['{"policies":{"a":{"retry":{"jitter":{"toString":1}}}}}', 'jitter must be a number from 0 to 1, not an object'],
    [
      '{"policies":{"a":{"circuitBreaker":{"slidingWindow":{"type":["count"]}}}}}',
      "must be 'consecutive', 'count' or 'time', not 'an array'",
    ],
    [
      '{"policies":{"a":{"circuitBreaker":{"slidingWindow":{"type":"time"}}}}}',
      'slidingWindow.durationMs must be a whole number from 1 to',
    ],
    ['{"policies":{"a":{"retry":{"__proto__":{}}}}}', "/policies/a/retry/__proto__ retry: unknown option '__proto__'"],
    [`{"policies":${'['.repeat(100_000)}`, ':1:76 nested deeper than 64 levels'],
    [`{"policies":{"a":{"retry":{"jitter":"${'x'.repeat(100_000)}"}}}}`, `not ${'x'.repeat(60)}…`],
    [Buffer.from('{"policies":\n {"\xff":{}}}', 'latin1'), ':2:4 not UTF-8'],
    [Buffer.from('\ufeff{"policies":{}}', 'utf16le'), ':1:1 not UTF-8'],
    [Buffer.alloc(1_048_577, ' '), 'is 1048577 bytes long; at most 1048576 are read'],
  ])('such as example %#', (content, message) => expect(lines(content)[0]).toContain(message));

  test('that is not there, or is no file', () => {
    const open = (path: string) => () => new PolicyFile({ path, watch: false });
    expect(open(join(folder.path, 'missing.json'))).toThrow(/missing\.json there is no such file$/);
    expect(open(folder.path)).toThrow(/is not a regular file$/);
  });
});

describe('what a policy file says', () => {
  test('a byte order mark, comments, and names that are members of every object', () => {
    const file = opened('\ufeff{"policies":{/* own */"__proto__":{"retry":{}},"constructor":{}}}');
    expect(file.names).toEqual(['__proto__', 'constructor']);
    expect(file.retry('__proto__')).toBe(file.retry('__proto__'));
    expect(() => file.breaker('toString')).toThrow("no policy 'toString'; it has '__proto__', 'constructor'");
  });

  test('an option is inherited, replaced or taken away; so is a whole part', async () => {
    const file = opened(`{
      "defaults": { "circuitBreaker": { "slidingWindow": { "type": "count", "size": 4 }, "minimumNumberOfCalls": 2 }, "timeout": { "totalMs": 1 } },
      "policies": {
        "inherits": { "circuitBreaker": { "waitDurationInOpenStateMs": 7 } },
        "takes": { "circuitBreaker": { "minimumNumberOfCalls": null, "slidingWindow": { "type": "consecutive", "failures": 1 } } },
        "without": { "circuitBreaker": null, "timeout": null }
      }
    }`);
    const opensAfter = (name: string) => {
      const breaker = file.breaker(name);
      for (let failures = 1; ; failures += 1) {
        breaker.onFailure(breaker.tryAcquire() ?? expect.fail('refused'));
        if (breaker.state === 'open') return { failures, forMs: breaker.retryAfterMs };
      }
    };
    expect(opensAfter('inherits')).toEqual({ failures: 2, forMs: 7 });
    expect(opensAfter('takes')).toEqual({ failures: 1, forMs: 60_000 });
    expect(() => file.breaker('without')).toThrow("policy 'without' has no circuitBreaker");
    await expect(file.pipeline('without').execute(() => 'unprotected')).resolves.toBe('unprotected');
  });

  test('the schema in the package is the one in the code', () => {
    const written = readFileSync(new URL('../schema/retry_policy.schema.json', import.meta.url), 'utf8');
    expect(JSON.parse(written), 'write JSON.stringify(policyFileSchema, null, 2) there').toEqual(policyFileSchema);
  });
});
