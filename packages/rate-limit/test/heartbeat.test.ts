import { ManualClock } from '@tidegate/test-kit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { concurrency, isRateLimitError, RateLimiter, type Refused, type Reservation } from '../src/index.ts';
import { FaultyStore } from './faulty-store.ts';

let clock: ManualClock;
let store: FaultyStore;
let limiter: RateLimiter<string>;
let lost: string[];

beforeEach(() => {
  clock = new ManualClock();
  store = new FaultyStore(clock);
  limiter = new RateLimiter<string>({
    name: 'jobs',
    key: (subject) => subject,
    store,
    clock,
    limits: [concurrency({ limit: 2, leaseMs: 3_000 })],
  });
  lost = [];
  limiter.on('lease-lost', ({ name }) => lost.push(name));
});
afterEach(async () => {
  await limiter.close();
  expect(clock.pendingTimers, 'timers left behind').toBe(0);
});

const renewals = () => store.asked.filter((command) => command.do === 'renew').length;
const places = async () => ((await limiter.tryReserve('a')) as Reservation | Refused).allowed;

test('a call keeps its place as long as it runs, by three renewals in the time of a lease, and one timer for all', async () => {
  const calls = [await limiter.reserve('a'), await limiter.reserve('a')];
  expect(clock.pendingTimers).toBe(2); // of the heartbeat, and of the answers that the limiter waited for
  await clock.advanceAsync(30_000);
  expect(renewals()).toBeGreaterThanOrEqual(2 * 39);
  expect(renewals()).toBeLessThanOrEqual(2 * 40);
  expect(await places()).toBe(false);
  for (const call of calls) expect(await call.release()).toBe(true);
  const before = renewals();
  await clock.advanceAsync(10_000);
  expect(renewals(), 'renewed though it had ended').toBe(before);
  expect([await places(), await places(), await places()]).toEqual([true, true, false]);
  expect(lost).toEqual([]);
});

test('a process that is gone gives its places back when its leases end', async () => {
  const gone = new RateLimiter<string>({
    name: 'jobs',
    key: (subject) => subject,
    store,
    clock,
    limits: [concurrency({ limit: 2, leaseMs: 3_000 })],
  });
  await gone.reserve('a');
  await gone.reserve('a');
  await gone.close(); // no heartbeat from here on
  await clock.advanceAsync(2_999);
  expect(await places()).toBe(false);
  await clock.advanceAsync(1);
  expect(await places()).toBe(true);
});

test('a call whose lease is said to have ended is told by its signal, once, and by an event', async () => {
  const call = await limiter.reserve('a');
  store.losesLeases = true;
  expect(call.signal.aborted).toBe(false);
  await clock.advanceAsync(750);
  expect(call.signal.aborted).toBe(true);
  expect(isRateLimitError(call.signal.reason)).toBe(true);
  expect(call.signal.reason).toMatchObject({ code: 'ERR_LEASE_LOST' });
  expect(lost).toEqual(['jobs']);
  await clock.advanceAsync(10_000);
  expect(lost).toEqual(['jobs']);
  expect(await call.release()).toBe(true);
});

test('a call whose lease could not be renewed is told before another may run in its place', async () => {
  const call = await limiter.reserve('a');
  const takenAt = clock.now();
  let toldAt = Number.NaN;
  call.signal.addEventListener('abort', () => {
    toldAt = clock.now();
  });
  await clock.advanceAsync(1_400); // renewed once, after 750 ms
  store.mode = 'hangs';
  await clock.advanceAsync(10_000);
  expect(toldAt - takenAt, 'told after the lease had ended in the store').toBeLessThanOrEqual(3_750);
  expect(toldAt - takenAt, 'told though it could still be renewed').toBeGreaterThan(3_000);
  expect(lost).toEqual(['jobs']);
});

test('a store that is away for less than the time of a lease loses none', async () => {
  const call = await limiter.reserve('a');
  store.mode = 'fails';
  await clock.advanceAsync(2_200);
  store.mode = 'well';
  await clock.advanceAsync(20_000);
  expect(call.signal.aborted).toBe(false);
  await call.release();
});

test('shorter leases are renewed in time beside longer ones', async () => {
  const long = await limiter.reserve('a');
  limiter.reconfigure([concurrency({ limit: 2, leaseMs: 400 })]);
  const short = await limiter.reserve('a');
  await clock.advanceAsync(20_000);
  expect([long.signal.aborted, short.signal.aborted]).toEqual([false, false]);
  expect(await places()).toBe(false);
  for (const call of [long, short]) await call.release();
});

test('what counts calls that run is not to be consumed', async () => {
  await expect(limiter.consume('a')).rejects.toThrow(/reserve or tryReserve/);
  await expect(limiter.acquire('a')).rejects.toThrow(TypeError);
});
