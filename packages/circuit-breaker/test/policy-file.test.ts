import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { ManualClock, type TempDir, tempDir, until } from '@tidegate/test-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CircuitBreaker, isTimeoutError } from '../src/index.ts';
import { pipeline, timeout } from '../src/policies.ts';
import { FilePoll } from '../src/policy-file/policy-file-poll.ts';
import { PolicyFile, type PolicyFileOptions } from '../src/policy-file.ts';
import { admitted, deferred, fail, outcomeOf } from './calls.ts';

let folder: TempDir;
let path: string;
let clock: ManualClock;
let open: PolicyFile[];
beforeEach(() => {
  folder = tempDir('policy-file-');
  path = join(folder.path, 'retry_policy.json');
  clock = new ManualClock();
  open = [];
});
afterEach(async () => {
  for (const file of open) await file.close();
  folder.remove();
});

const policy = (a: object) => JSON.stringify({ policies: { a } });
const breaker = (failures: number) => policy({ circuitBreaker: { slidingWindow: { type: 'consecutive', failures } } });

/** A file that is followed, and what it told. */
function followed(content: string, options: Partial<PolicyFileOptions> = {}) {
  writeFileSync(path, content);
  const policies = new PolicyFile({ path, clock, ...options });
  open.push(policies);
  const told: string[] = [];
  policies.on('reloaded', ({ changed }) => told.push(`reloaded ${changed}`));
  policies.on('refused', ({ error }) => told.push(`refused ${error.problems[0]?.message}`));
  return { policies, told };
}

/** Lets the file be looked at until `done`, an interval of the clock each time. */
async function looks(done: () => boolean): Promise<void> {
  await until(
    async () => {
      if (done()) return true;
      await clock.advanceAsync(1_000);
      return done();
    },
    { what: 'the file to be looked at' },
  );
}

/** Long enough for a change to have been seen. */
async function severalLooks(): Promise<void> {
  for (let i = 0; i < 5; i += 1) {
    await clock.advanceAsync(1_000);
    await until(() => clock.pendingTimers === 1, { what: 'the end of a look' });
  }
}

describe('the objects of a name', () => {
  test('are the same each time, and the pipeline goes through the same breaker', async () => {
    const { policies } = followed(policy({ circuitBreaker: {}, retry: { maxAttempts: 5, initialDelayMs: 0 }, timeout: { totalMs: 10 } }));
    for (const each of ['breaker', 'retry', 'pipeline'] as const) expect(policies[each]('a')).toBe(policies[each]('a'));
    expect(policies.breaker('a').name).toBe('a');
    const call = outcomeOf(policies.pipeline('a').execute(() => new Promise(() => {})));
    await clock.advanceAsync(11 * 5);
    expect(isTimeoutError(await call)).toBe(true); // each attempt has a limit of its own, and the breaker saw each
    expect(policies.breaker('a').state).toBe('open');
  });

  test('an unknown name is told with the known ones', () => {
    const { policies } = followed('{"policies":{"anthropic":{},"search":{}}}');
    expect(() => policies.pipeline('antropic')).toThrow(new RangeError(`${path} has no policy 'antropic'; it has 'anthropic', 'search'`));
    expect(() => policies.retry('search')).toThrow('policy \'search\' has no retry; "retry": {} in the file is one with the defaults');
  });

  test('functions come from the code, in the shape of the file', async () => {
    const seen: unknown[] = [];
    const { policies } = followed(
      '{"defaults":{"retry":{"initialDelayMs":0,"maxAttempts":9},"circuitBreaker":{}},"policies":{"a":{},"b":{}}}',
      {
        code: {
          defaults: { circuitBreaker: { classify: { error: () => 'ignore' } }, retry: { retryIf: () => false } },
          policies: { b: { retry: { retryIf: (error) => seen.push(error) < 3 } } },
        },
      },
    );
    const down = new Error('down');
    const call = outcomeOf(
      policies.pipeline('b').execute(() => {
        throw down;
      }),
    );
    await clock.advanceAsync(10);
    expect([await call, seen.length]).toEqual([down, 3]);
    expect(policies.breaker('b').metrics().failures).toBe(0);
    let calls = 0;
    await outcomeOf(
      policies.retry('a').execute(() => {
        calls += 1;
        throw down;
      }),
    );
    expect(calls).toBe(1);
  });

  test.each<[object, RegExp]>([
    [{ code: { policies: { b: {} } } }, /^code\.policies: .* has no policy 'b'; it has 'a'$/],
    [{ code: { policies: { a: { breaker: {} } } } }, /^code\.policies\.a: unknown option 'breaker'; known are retry, circuitBreaker$/],
    [
      { code: { defaults: { retry: { maxAttempts: 3 } } } },
      /^code\.defaults\.retry: unknown option 'maxAttempts'; known are retryIf, classify, budget$/,
    ],
    [{ code: { defaults: { circuitBreaker: { classify: { error: 5 } } } } }, /^classify\.error must be a function, not number$/],
    [{ code: { anthropic: {} } }, /^code: unknown option 'anthropic'; known are defaults, policies$/],
    [{ pollIntervalMs: 0 }, /^pollIntervalMs must be a whole number from 1/],
    [{ file: 'x' }, /^PolicyFile: unknown option 'file'/],
  ])('wrong options are refused: %j', (options, message) => {
    expect(() => followed(policy({}), options as PolicyFileOptions)).toThrow(message);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a retry that follows a file is known by its role', () => {
    const { policies } = followed(policy({ retry: {} }));
    expect(() => pipeline(new CircuitBreaker(), policies.retry('a'))).toThrow(/retry stands inside circuit-breaker/);
    expect(() => pipeline(policies.retry('a'), timeout({ totalMs: 5 }))).not.toThrow();
  });
});

describe('when the file changes', () => {
  test('a breaker keeps its state, its window and its totals', async () => {
    const { policies, told } = followed(breaker(5));
    const held = policies.breaker('a');
    for (let i = 0; i < 3; i += 1) fail(held);
    writeFileSync(path, breaker(4));
    await looks(() => told.length > 0);
    expect(told).toEqual(['reloaded a']);
    expect(policies.breaker('a')).toBe(held);
    expect(held.metrics()).toMatchObject({ state: 'closed', failures: 3 });
    fail(held);
    expect(held.tryAcquire()).toBeUndefined();
    writeFileSync(path, breaker(1));
    await looks(() => told.length > 1);
    expect(held.metrics()).toMatchObject({ state: 'open', rejected: 1 });
  });

  test('a call under way ends as it began, also while the file changes again and again', async () => {
    const retries = (maxAttempts: number) => policy({ retry: { maxAttempts, initialDelayMs: 50_000, jitter: 0 }, circuitBreaker: {} });
    const { policies, told } = followed(retries(3));
    const counted = () => {
      let attempts = 0;
      const end = policies.pipeline('a').execute(() => {
        attempts += 1;
        throw new Error(`attempt ${attempts}`);
      });
      return outcomeOf(end);
    };
    const slow = deferred<string>();
    const early = [counted(), policies.pipeline('a').execute(() => slow.promise)];
    for (let attempts = 1; attempts <= 20; attempts += 1) {
      writeFileSync(path, retries(attempts));
      if (attempts % 5 === 0) await looks(() => told.length >= attempts / 5);
    }
    writeFileSync(path, retries(1));
    const before = told.length;
    await looks(() => told.length > before);
    expect(await counted()).toEqual(new Error('attempt 1'));
    slow.resolve('late but well');
    await clock.advanceAsync(200_000);
    expect(await Promise.all(early)).toEqual([new Error('attempt 3'), 'late but well']);
    expect(policies.breaker('a').metrics()).toMatchObject({ calls: 2, late: 0 }); // two failures since the success in between
  });

  test('a retry by itself follows too', async () => {
    const { policies } = followed(policy({ retry: { maxAttempts: 1 } }), { watch: false });
    const held = policies.retry('a');
    writeFileSync(path, policy({ retry: { maxAttempts: 2, initialDelayMs: 5, jitter: 0 } }));
    await policies.reload();
    let attempts = 0;
    const call = outcomeOf(
      held.execute(() => {
        attempts += 1;
        throw new Error('down');
      }),
    );
    await clock.advanceAsync(5);
    await call;
    expect([policies.retry('a'), attempts]).toEqual([held, 2]);
  });

  test('what was read later wins, however many reload at once', async () => {
    const { policies } = followed(breaker(1), { watch: false });
    const reloads: Promise<unknown>[] = [];
    for (let failures = 100; failures >= 2; failures -= 1) {
      writeFileSync(`${path}.new`, breaker(failures));
      renameSync(`${path}.new`, path);
      reloads.push(policies.reload());
      if (failures % 3 === 0) await setImmediate();
    }
    await Promise.all(reloads);
    const held = policies.breaker('a');
    fail(held);
    expect(held.state).toBe('closed');
    fail(held);
    expect(held.state).toBe('open');
  });

  test('a part that comes is in the pipeline, one that goes is not, and who holds it keeps it', async () => {
    const { policies } = followed(policy({}), { watch: false });
    const call = policies.pipeline('a');
    await expect(call.execute(() => 1)).resolves.toBe(1);
    writeFileSync(path, breaker(1));
    expect(await policies.reload()).toEqual(['a']);
    const held = policies.breaker('a');
    fail(held);
    await expect(call.execute(() => 1)).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    writeFileSync(path, '{"policies":{"a":{}, "b":{}}}');
    expect(await policies.reload()).toEqual(['a', 'b']);
    await expect(call.execute(() => 1)).resolves.toBe(1);
    expect(policies.breaker('a')).toBe(held);
    expect(held.state).toBe('open');
    writeFileSync(path, '{"policies":{"b":{}}}');
    expect(await policies.reload()).toEqual(['a']);
    expect([policies.names, policies.breaker('a')]).toEqual([['b'], held]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('a name whose meaning did not change is left alone', async () => {
    const text = '{"defaults":{"timeout":{"totalMs":5}},"policies":{"a":{},"b":{"timeout":{"totalMs":9}},"c":{"retry":{"jitter":0}}}}';
    const { policies } = followed(text, { watch: false });
    writeFileSync(
      path,
      text.replace('5', '6').replace('{"retry":{"jitter":0}}', '{ "timeout": {"totalMs": 5.0}, /**/ "retry": {"jitter":0} }'),
    );
    expect(await policies.reload()).toEqual(['a']);
    writeFileSync(path, `${text} `);
    expect(await policies.reload()).toEqual(['a']);
    expect(await policies.reload()).toEqual([]);
  });
});

describe('a change is seen', () => {
  const ways: Record<string, (content: string) => void> = {
    'written in place': (content) => writeFileSync(path, content),
    'by a rename over it': (content) => {
      writeFileSync(`${path}.new`, content);
      renameSync(`${path}.new`, path);
    },
    'renamed away and written anew': (content) => {
      renameSync(path, `${path}~`);
      writeFileSync(path, content);
    },
    'deleted and written anew': (content) => {
      rmSync(path);
      writeFileSync(path, content);
    },
  };

  test.each(Object.entries(ways))('%s', async (_, change) => {
    const { policies, told } = followed(breaker(5));
    await severalLooks();
    for (let failures = 1; failures <= 3; failures += 1) {
      change(breaker(failures));
      await looks(() => told.length === failures);
    }
    expect(told).toEqual(['reloaded a', 'reloaded a', 'reloaded a']);
    const held = policies.breaker('a');
    fail(held);
    fail(held);
    expect(held.state).toBe('closed');
    fail(held);
    expect(held.state).toBe('open');
  });

  test('as Kubernetes swaps a ConfigMap: a link to a link to a folder', async () => {
    const put = (version: string, failures: number) => {
      mkdirSync(join(folder.path, version));
      writeFileSync(join(folder.path, version, 'policy.json'), breaker(failures));
      symlinkSync(version, join(folder.path, '..data_tmp'));
      renameSync(join(folder.path, '..data_tmp'), join(folder.path, '..data'));
    };
    put('..v1', 5);
    symlinkSync('..data/policy.json', join(folder.path, 'policy.json'));
    const policies = new PolicyFile({ path: join(folder.path, 'policy.json'), clock });
    open.push(policies);
    const told: unknown[] = [];
    policies.on('reloaded', ({ changed }) => told.push(changed));
    put('..v2', 1);
    rmSync(join(folder.path, '..v1'), { recursive: true });
    await looks(() => told.length > 0);
    fail(policies.breaker('a'));
    expect(policies.breaker('a').state).toBe('open');
  });

  test('after many quick ones: the last', async () => {
    const { policies, told } = followed(breaker(9));
    for (let i = 0; i < 300; i += 1) {
      writeFileSync(path, breaker((i % 8) + 1)); // of the same length, many within one tick of the file system's clock
      if (i % 10 === 0) await clock.advanceAsync(1_000);
    }
    writeFileSync(path, breaker(2));
    await severalLooks();
    fail(policies.breaker('a'));
    fail(admittedBy(policies));
    expect(policies.breaker('a').state).toBe('open');
    expect(told.filter((event) => event.startsWith('refused') && !event.includes('empty'))).toEqual([]);
  });

  const admittedBy = (policies: PolicyFile) => {
    policies.breaker('a').release(admitted(policies.breaker('a')));
    return policies.breaker('a');
  };
});

test('what has changed is read once more, since two writes within one tick of the file system look like one', async () => {
  writeFileSync(path, 'first');
  let reads = 0;
  const poll = new FilePoll(path, clock, 1_000, async () => {
    reads += 1;
  });
  await severalLooks();
  expect(reads).toBe(2);
  writeFileSync(path, 'second');
  await severalLooks();
  expect(reads).toBe(4);
  poll.close();
  expect(clock.pendingTimers).toBe(0);
});

describe('what is refused changes nothing, is told once, and is tried again', () => {
  test('a half-written file', async () => {
    const { policies, told } = followed(breaker(1));
    const whole = breaker(2);
    writeFileSync(path, whole.slice(0, 20));
    await looks(() => told.length > 0);
    await severalLooks();
    expect(told).toEqual(['refused not JSON: UnexpectedEndOfString']);
    writeFileSync(path, whole);
    await looks(() => told.length > 1);
    expect(told[1]).toBe('reloaded a');
    fail(policies.breaker('a'));
    expect(policies.breaker('a').state).toBe('closed');
  });

  test('a file that is gone, and comes back as it was', async () => {
    const { policies, told } = followed(breaker(1));
    await severalLooks();
    rmSync(path);
    await looks(() => told.length > 0);
    await severalLooks();
    writeFileSync(path, breaker(1));
    await looks(() => told.length > 1);
    expect(told).toEqual(['refused there is no such file', 'reloaded ']);
    fail(policies.breaker('a'));
    expect(policies.breaker('a').state).toBe('open');
  });

  test('all of a file of which one policy is wrong', async () => {
    const { policies } = followed('{"policies":{"a":{"timeout":{"totalMs":5}},"b":{}}}', { watch: false });
    writeFileSync(path, '{"policies":{"a":{"timeout":{"totalMs":9000}},"b":{"timeout":{}}}}');
    await expect(policies.reload()).rejects.toMatchObject({ code: 'ERR_POLICY_FILE', problems: [{ pointer: '/policies/b/timeout' }] });
    const call = outcomeOf(policies.pipeline('a').execute(() => new Promise(() => {})));
    await clock.advanceAsync(5);
    expect(await call).toMatchObject({ timeoutMs: 5 });
  });
});

describe('following', () => {
  test('a listener that throws stops neither the others nor the change', async () => {
    const { policies, told } = followed(breaker(5), { watch: false });
    const errors: unknown[] = [];
    const remove = policies.on('reloaded', () => {
      throw new Error('mine');
    });
    policies.on('listener-error', ({ error }) => errors.push(error));
    policies.on('reloaded', () => told.push('second'));
    writeFileSync(path, breaker(4));
    await policies.reload();
    expect([told, errors]).toEqual([['reloaded a', 'second'], [new Error('mine')]]);
    remove();
    writeFileSync(path, breaker(3));
    await policies.reload();
    expect(errors).toHaveLength(1);
  });

  test('ends with close, which may be called again, and what was handed out goes on', async () => {
    const { policies, told } = followed(breaker(5));
    expect(clock.pendingTimers).toBe(1);
    await policies.close();
    await policies[Symbol.asyncDispose]();
    expect([told, clock.pendingTimers]).toEqual([[], 0]);
    expect(policies.breaker('a').state).toBe('closed');
  });

  test('ends with close in the middle of a look', async () => {
    const { policies, told } = followed(breaker(5));
    writeFileSync(path, breaker(4));
    clock.advance(1_000);
    expect(clock.pendingTimers).toBe(0);
    await policies.close();
    await sleep(50); // long enough for the look to come to its end, where it would plan the next
    expect([told, clock.pendingTimers]).toEqual([[], 0]);
  });

  test('happens on the real clock each second by default', async () => {
    writeFileSync(path, breaker(5));
    const policies = new PolicyFile({ path });
    open.push(policies);
    const told: unknown[] = [];
    policies.on('reloaded', ({ changed }) => told.push(changed));
    writeFileSync(path, breaker(4));
    await until(() => told.length > 0, { what: 'a look within a second or so' });
    expect(told).toEqual([['a']]);
  });

  test('keeps no process alive', () => {
    const timers: { hasRef(): boolean }[] = [];
    const watched = new ManualClock();
    const setTimeout = watched.setTimeout.bind(watched);
    watched.setTimeout = (fn, ms) => {
      const timer = setTimeout(fn, ms);
      timers.push(timer);
      return timer;
    };
    followed(breaker(5), { clock: watched });
    expect(timers.map((timer) => timer.hasRef())).toEqual([false]);
  });
});
