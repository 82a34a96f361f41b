import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { type CircuitState, isRefusal } from '../src/index.ts';
import { CircuitBreakerRegistry, isRegistryFullError } from '../src/registry.ts';
import { admitted, fail, succeed } from './calls.ts';

function registryOf(maxBreakers?: number) {
  const clock = new ManualClock();
  const options = { clock, slidingWindow: { type: 'consecutive', failures: 2 } } as const;
  return { clock, registry: new CircuitBreakerRegistry(maxBreakers === undefined ? { options } : { options, maxBreakers }) };
}

function open(registry: CircuitBreakerRegistry, key: string): void {
  registry.get(key).transitionTo('open');
}

const keysOf = (registry: CircuitBreakerRegistry) => [...registry].map(([key]) => key);

describe('a registry', () => {
  it('makes a breaker once and names it by its key', () => {
    const { registry } = registryOf();
    expect(registry.peek('a')).toBeUndefined();
    const breaker = registry.get('a');
    expect(breaker.name).toBe('a');
    expect(registry.get('a')).toBe(breaker);
    expect(registry.peek('a')).toBe(breaker);
    expect(registry.size).toBe(1);
  });

  it('gives each key options of its own', () => {
    const registry = new CircuitBreakerRegistry<{ host: string; failures: number }>({
      options: ({ host, failures }) => ({ name: host, slidingWindow: { type: 'consecutive', failures } }),
    });
    const [one, two] = [registry.get({ host: 'one', failures: 1 }), registry.get({ host: 'two', failures: 2 })];
    for (const breaker of [one, two]) fail(breaker);
    expect([one.name, one.state, two.name, two.state]).toEqual(['one', 'open', 'two', 'closed']);
  });

  it('forgets what is deleted and makes it anew', () => {
    const { registry } = registryOf();
    open(registry, 'a');
    expect([registry.delete('a'), registry.delete('a'), registry.size]).toEqual([true, false, 0]);
    expect(registry.get('a').state).toBe('closed');
    registry.get('b');
    registry.clear();
    expect([registry.size, ...registry]).toEqual([0]);
  });

  it('has snapshots of all, from which another process goes on', () => {
    const { registry } = registryOf();
    registry.get('a');
    open(registry, 'b');
    const snapshots = JSON.parse(JSON.stringify(registry.snapshot()));
    expect(snapshots).toMatchObject([
      ['a', { name: 'a', state: 'closed' }],
      ['b', { name: 'b', state: 'open', openForMs: 60_000 }],
    ]);
    const { registry: another } = registryOf();
    another.restore(snapshots);
    expect(another.snapshot()).toEqual(snapshots);
    expect(() => another.restore([['c', { ...snapshots[0][1], version: 9 }]])).toThrow('snapshot.version must be one of 1, not 9');
  });

  it('stays whole where the function that gives the options asks for the same key', () => {
    const registry: CircuitBreakerRegistry = new CircuitBreakerRegistry({
      maxBreakers: 1,
      options: () => {
        if (registry.size === 0 && !asked) {
          asked = true;
          inner = registry.get('a');
        }
        return {};
      },
    });
    let asked = false;
    let inner: unknown;
    expect([registry.get('a') === inner, registry.size]).toEqual([true, 1]);
  });

  it.each([
    [{ maxBreakers: 0 }, 'maxBreakers must be a whole number from 1 to 10000000, not 0'],
    [{ maxBreaker: 1 }, "unknown option 'maxBreaker'"],
    [{ options: { name: 'a' } }, 'options.name must be left out'],
  ])('refuses %j', (options, message) => {
    expect(() => new CircuitBreakerRegistry(options as object)).toThrow(new RegExp(message));
  });
});

describe('events of a registry', () => {
  it('tell what is added and removed, and why', () => {
    const { registry } = registryOf(1);
    const heard: unknown[] = [];
    registry.on('added', ({ key, breaker }) => heard.push(['added', key, breaker.name]));
    const stop = registry.on('removed', ({ key, reason }) => heard.push(['removed', key, reason]));
    registry.get('a');
    registry.get('b');
    registry.delete('b');
    stop();
    registry.get('c');
    registry.clear();
    expect(heard).toEqual([
      ['added', 'a', 'a'],
      ['removed', 'a', 'made-room'],
      ['added', 'b', 'b'],
      ['removed', 'b', 'deleted'],
      ['added', 'c', 'c'],
    ]);
  });

  it('of present and future breakers come with their key, until one no longer listens', () => {
    const { registry } = registryOf();
    const heard: unknown[] = [];
    registry.get('present');
    const stop = registry.on('state-change', ({ key, name, to }) => heard.push([key, name, to]));
    open(registry, 'present');
    open(registry, 'future');
    stop();
    registry.get('future').transitionTo('closed');
    open(registry, 'later');
    expect(heard).toEqual([
      ['present', 'present', 'open'],
      ['future', 'future', 'open'],
    ]);
  });

  it('of a deleted breaker are not told, though it is still used', () => {
    const { registry } = registryOf();
    const heard: unknown[] = [];
    const breaker = registry.get('a');
    registry.on('failure', ({ key }) => heard.push(key));
    fail(breaker);
    registry.delete('a');
    fail(breaker);
    expect(heard).toEqual(['a']);
  });

  it('that listeners throw at change nothing and are told', () => {
    const { registry } = registryOf();
    const heard: unknown[] = [];
    registry.on('listener-error', ({ key, error }) => heard.push([key, (error as Error).message]));
    registry.on('added', () => {
      throw new Error('at added');
    });
    registry.on('success', () => {
      throw new Error('at success');
    });
    succeed(registry.get('a'));
    expect(heard).toEqual([
      [undefined, 'at added'],
      ['a', 'at success'],
    ]);
  });
});

describe('a registry with maxBreakers', () => {
  it('forgets the least recently used', () => {
    const { registry } = registryOf(3);
    for (const key of ['a', 'b', 'c', 'a', 'd', 'e']) registry.get(key);
    expect(keysOf(registry)).toEqual(['a', 'd', 'e']);
  });

  it('looking and iterating are no use', () => {
    const { registry } = registryOf(2);
    registry.get('a');
    registry.get('b');
    registry.peek('a');
    registry.snapshot();
    registry.get('c');
    expect(keysOf(registry)).toEqual(['b', 'c']);
  });

  it('forgets an empty window before one that holds something', () => {
    const { registry } = registryOf(3);
    fail(registry.get('failing'));
    registry.get('empty');
    registry.get('newer');
    registry.get('d');
    expect(keysOf(registry)).toEqual(['failing', 'newer', 'd']);
  });

  it('forgets the least recently used closed one where every window holds something', () => {
    const { registry } = registryOf(2);
    fail(registry.get('a'));
    fail(registry.get('b'));
    registry.get('c');
    expect(keysOf(registry)).toEqual(['b', 'c']);
  });

  it.each<CircuitState>(['open', 'forced-open', 'disabled', 'metrics-only'])('keeps one that is %s', (state) => {
    const { registry } = registryOf(2);
    registry.get('kept').transitionTo(state);
    for (const key of ['a', 'b', 'c', 'd']) registry.get(key);
    expect(keysOf(registry)).toEqual(['kept', 'd']);
  });

  it('refuses where all are open, and says until when', () => {
    const { registry, clock } = registryOf(2);
    open(registry, 'a');
    clock.advance(10_000);
    open(registry, 'b');
    let error: unknown;
    try {
      registry.get('c');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'ERR_REGISTRY_FULL', limit: 'maxBreakers', retryAfterMs: 50_000 });
    expect([isRegistryFullError(error), isRefusal(error), isRegistryFullError(new Error('x'))]).toEqual([true, true, false]);
    expect(keysOf(registry)).toEqual(['a', 'b']);
    expect(registry.get('a').state).toBe('open');
    clock.advance(49_999);
    expect(() => registry.get('c')).toThrow(/no room/);
    clock.advance(1);
    registry.get('c'); // nobody asked for a since its wait elapsed
    expect(keysOf(registry)).toEqual(['b', 'c']);
  });

  it('names no time where all are held by hand', () => {
    const { registry } = registryOf(1);
    registry.get('a').transitionTo('forced-open');
    expect(() => registry.get('b')).toThrow(expect.not.objectContaining({ retryAfterMs: expect.anything() }));
  });

  it('keeps a half-open one whose probe is out', () => {
    const { registry, clock } = registryOf(1);
    open(registry, 'a');
    clock.advance(60_000);
    admitted(registry.get('a'));
    expect(() => registry.get('b')).toThrow(/no room/);
    expect(keysOf(registry)).toEqual(['a']);
  });

  it('forgets what was kept once it has closed', () => {
    const { registry, clock } = registryOf(2);
    open(registry, 'a');
    registry.get('b');
    registry.get('c');
    clock.advance(60_000);
    const kept = registry.peek('a');
    if (kept !== undefined) succeed(kept);
    fail(registry.get('c'));
    registry.get('d');
    expect(keysOf(registry)).toEqual(['c', 'd']);
  });

  it('holds its limit where a listener makes and deletes others meanwhile', () => {
    const { registry, clock } = registryOf(3);
    for (const key of ['a', 'b', 'c']) open(registry, key);
    registry.on('state-change', ({ key, to }) => {
      if (to !== 'half-open' || key === undefined) return;
      registry.delete(key);
      registry.get(`${key} again`);
    });
    clock.advance(60_000);
    for (let i = 0; i < 100; i += 1) registry.get(`key ${i}`);
    expect(registry.size).toBe(3);
    expect(keysOf(registry)).toContain('key 99');
  });

  it('makes room at the same cost however many are open', () => {
    const looks = (opened: number) => {
      let times = 0;
      const clock = new ManualClock();
      const now = () => {
        times += 1;
        return clock.now();
      };
      const counting = { ...bound(clock), now };
      const registry = new CircuitBreakerRegistry({ options: { clock: counting }, maxBreakers: opened + 10 });
      for (let i = 0; i < opened; i += 1) open(registry, `open ${i}`);
      for (let i = 0; i < 20; i += 1) registry.get(`warm ${i}`);
      times = 0;
      for (let i = 0; i < 1_000; i += 1) registry.get(`key ${i}`);
      return times;
    };
    expect(looks(5_000)).toBeLessThanOrEqual(looks(50) * 1.1);
  });
});

function bound(clock: ManualClock) {
  return {
    wall: () => clock.wall(),
    setTimeout: (fn: () => void, ms: number) => clock.setTimeout(fn, ms),
    clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
  };
}

describe('memory', () => {
  it('of a deleted breaker is free, also while somebody listens', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { registry } = registryOf(10);
    registry.on('success', () => {});
    registry.on('removed', () => {});
    const refs = ['deleted', 'made room', 'kept'].map((key) => new WeakRef(registry.get(key)));
    registry.delete('deleted');
    for (let i = 0; i < 9; i += 1) fail(registry.get(`key ${i}`));
    for (let i = 0; i < 3; i += 1) registry.get('kept');
    for (let round = 0; round < 10 && refs[0]?.deref() !== undefined; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      collect();
    }
    expect(refs.map((ref) => ref.deref()?.name)).toEqual([undefined, undefined, 'kept']);
  });

  it('of a registry is at most 200 bytes a breaker, beside the breaker and its key', () => {
    const script = fileURLToPath(new URL('bytes-per-breaker.ts', import.meta.url));
    const [registry = 0, bare = 0] = ['registry', 'bare'].map((holder) => {
      const args = ['--expose-gc', '--import', 'tsx', '--conditions=@tidegate/source', script, '50000', holder];
      const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      expect(status, stderr).toBe(0);
      return Number(stdout);
    });
    expect(bare).toBeGreaterThan(200); // else nothing was measured
    expect(registry - bare).toBeLessThanOrEqual(200);
    expect(registry, 'with a window of 100 calls').toBeLessThanOrEqual(1_024);
  });
});
