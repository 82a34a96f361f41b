import { ManualClock } from '@tidegate/test-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bulkhead } from '../src/policies.ts';
import { deferred, outcomeOf } from './calls.ts';
import { patience, scaledRuns } from './scale.ts';

const commands = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('call' as const), which: fc.nat() }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('end' as const, 'fail' as const, 'abort' as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('advance' as const), which: fc.integer({ min: 0, max: 60 }) }) },
  ),
  { maxLength: 60 },
);

/** A list of who runs and a list of who waits. */
class NaiveBulkhead {
  running: number[] = [];
  waiting: { readonly id: number; readonly until: number }[] = [];
  readonly ended = new Map<number, string>();
  rejected = 0;
  readonly #max: number;
  readonly #queue: number;

  constructor(max: number, queue: number) {
    this.#max = max;
    this.#queue = queue;
  }

  call(id: number, until: number): void {
    if (this.running.length < this.#max) this.running.push(id);
    else if (this.waiting.length < this.#queue) this.waiting.push({ id, until });
    else this.#refuse(id);
  }

  end(id: number, how: string): void {
    this.running = this.running.filter((other) => other !== id);
    this.ended.set(id, how);
    const next = this.waiting.shift();
    if (next !== undefined) this.running.push(next.id);
  }

  leave(id: number): void {
    this.waiting = this.waiting.filter((other) => other.id !== id);
    this.ended.set(id, 'left');
  }

  pass(now: number): void {
    for (const { id } of this.waiting.filter(({ until }) => until <= now)) this.#refuse(id);
    this.waiting = this.waiting.filter(({ until }) => until > now);
  }

  #refuse(id: number): void {
    this.rejected += 1;
    this.ended.set(id, 'refused');
  }
}

describe('a bulkhead', () => {
  it('does what two lists do', patience, async () => {
    const shape = fc.record({ maxConcurrent: fc.integer({ min: 1, max: 3 }), maxQueue: fc.integer({ min: 1, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(shape, commands, async ({ maxConcurrent, maxQueue }, steps) => {
        const clock = new ManualClock();
        const policy = bulkhead({ maxConcurrent, maxQueue, maxWaitMs: 50, clock });
        const naive = new NaiveBulkhead(maxConcurrent, maxQueue);
        const ends: ReturnType<typeof deferred<string>>[] = [];
        const callers: AbortController[] = [];
        const running = new Set<number>();
        const ended = new Map<number, string>();
        const call = () => {
          const id = ends.length;
          const end = deferred<string>();
          const caller = new AbortController();
          ends.push(end);
          callers.push(caller);
          naive.call(id, clock.now() + 50);
          const fn = async () => {
            running.add(id);
            return end.promise.finally(() => running.delete(id));
          };
          const settled = outcomeOf(policy.execute(fn, { signal: caller.signal })).then((result) => {
            ended.set(id, result instanceof Error ? ('code' in result ? 'refused' : 'fail') : String(result));
          });
          return settled;
        };
        for (const step of steps) {
          if (step.do === 'call') void call();
          else if (step.do === 'advance') {
            await clock.advanceAsync(step.which);
            naive.pass(clock.now());
          } else if (step.do === 'abort') {
            const id = naive.waiting[step.which % Math.max(1, naive.waiting.length)]?.id;
            if (id === undefined) continue;
            callers[id]?.abort('left');
            naive.leave(id);
          } else {
            const id = naive.running[step.which % Math.max(1, naive.running.length)];
            if (id === undefined) continue;
            step.do === 'end' ? ends[id]?.resolve('end') : ends[id]?.reject(new Error('down'));
            naive.end(id, step.do);
          }
          await clock.advanceAsync(0);
          expect([...running].sort()).toEqual([...naive.running].sort());
          expect(policy.metrics()).toEqual({ running: naive.running.length, queued: naive.waiting.length, rejected: naive.rejected });
          expect(new Map([...ended].sort())).toEqual(new Map([...naive.ended].sort()));
        }
        expect(clock.pendingTimers).toBe(naive.waiting.length);
      }),
      { numRuns: scaledRuns(150) },
    );
  });
});
