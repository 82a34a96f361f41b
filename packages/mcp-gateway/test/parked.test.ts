import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Conversation } from '../src/conversation.ts';
import { ParkedConversations } from '../src/parked.ts';
import { StateSeal } from '../src/sealed-state.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const mina = { tenant: 'acme', user: 'mina', role: 'member' } as const;

function parking({ ttlMs = 1_000, most = 10 } = {}) {
  return new ParkedConversations(new StateSeal(Buffer.alloc(32, 1)), ttlMs, most);
}

test('a conversation is taken up by the same principal with the same request, once', () => {
  const parked = parking();
  const conversation = new Conversation({});
  const state = parked.park(conversation, mina, 'digest');
  expect(parked.size).toBe(1);
  expect(parked.resume(state, { ...mina, role: 'operator' }, 'digest')).toBe(conversation);
  expect(parked.size).toBe(0);
  expect(parked.resume(state, mina, 'digest')).toBe('expired');
});

test('a conversation that was taken up is no longer called off by its time', async () => {
  const parked = parking({ ttlMs: 1_000 });
  const conversation = new Conversation({});
  parked.resume(parked.park(conversation, mina, 'd'), mina, 'd');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(conversation.signal.aborted).toBe(false);
});

test('the next state of a conversation is another one; the one before stays used', () => {
  const parked = parking();
  const conversation = new Conversation({});
  const first = parked.park(conversation, mina, 'd');
  parked.resume(first, mina, 'd');
  const second = parked.park(conversation, mina, 'd');
  expect(parked.resume(first, mina, 'd')).toBe('expired');
  expect(parked.resume(second, mina, 'd')).toBe(conversation);
});

describe('a state is refused', () => {
  test.each([
    ['of another tenant', { tenant: 'beta', user: 'mina', role: 'member' }],
    ['of another user of the tenant', { tenant: 'acme', user: 'noah', role: 'member' }],
    ['of the tenant without a user', { tenant: 'acme', role: 'member' }],
    ['whose tenant and user only read alike together', { tenant: 'acme","mina', role: 'member' }],
  ] as const)('from a principal %s, and stays good for its own', (_, other) => {
    const parked = parking();
    const conversation = new Conversation({});
    const state = parked.park(conversation, mina, 'd');
    expect(parked.resume(state, other, 'd')).toBe('other-principal');
    expect(parked.resume(state, mina, 'd')).toBe(conversation);
  });

  test('with another request, and stays good for its own', () => {
    const parked = parking();
    const conversation = new Conversation({});
    const state = parked.park(conversation, mina, 'd');
    expect(parked.resume(state, mina, 'another')).toBe('other-request');
    expect(parked.resume(state, mina, 'd')).toBe(conversation);
  });

  test('that was changed, or sealed by another gateway', () => {
    const parked = parking();
    const state = parked.park(new Conversation({}), mina, 'd');
    expect(parked.resume(`${state}x`, mina, 'd')).toBe('not-ours');
    const elsewhere = new ParkedConversations(new StateSeal(), 1_000, 10).park(new Conversation({}), mina, 'd');
    expect(parked.resume(elsewhere, mina, 'd')).toBe('not-ours');
    expect(parked.size).toBe(1);
  });

  test('after its time, when the conversation has been called off', async () => {
    const parked = parking({ ttlMs: 1_000 });
    const conversation = new Conversation({});
    const state = parked.park(conversation, mina, 'd');
    await vi.advanceTimersByTimeAsync(999);
    expect(conversation.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(conversation.signal.reason).toEqual(new Error('no answer came within 1000 ms'));
    expect(parked.resume(state, mina, 'd')).toBe('expired');
    expect(parked.size).toBe(0);
  });
});

test('one conversation more than may wait calls the oldest off', () => {
  const parked = parking({ most: 2 });
  const conversations = [1, 2, 3].map(() => new Conversation({}));
  const states = conversations.map((conversation) => parked.park(conversation, mina, 'd'));
  expect(parked.size).toBe(2);
  expect(conversations.map(({ signal }) => signal.aborted)).toEqual([true, false, false]);
  expect(states.map((state) => parked.resume(state, mina, 'd'))).toEqual(['expired', conversations[1], conversations[2]]);
});

test('closing calls everything off and leaves no timer behind', () => {
  const parked = parking();
  const conversations = [1, 2].map(() => new Conversation({}));
  for (const conversation of conversations) parked.park(conversation, mina, 'd');
  parked.close();
  expect(conversations.map(({ signal }) => signal.reason)).toEqual([
    new Error('the gateway is closing'),
    new Error('the gateway is closing'),
  ]);
  expect(vi.getTimerCount()).toBe(0);
});
