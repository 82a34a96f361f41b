import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Answer } from '../src/call.ts';
import { CallOverError, Conversation, questionKey } from '../src/conversation.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const question = (message: string, name?: string) => ({
  method: 'elicitation/create',
  params: { message, ...(name !== undefined && { _meta: { [questionKey]: name } }) },
});

const done: Answer = { result: { content: [] } };

/** What a turn comes to when `ms` have gone by. */
async function turnAfter(conversation: Conversation, ms: number) {
  const turn = conversation.turn();
  await vi.advanceTimersByTimeAsync(ms);
  return turn;
}

test('a call that asks nothing is over in its first turn', async () => {
  const conversation = new Conversation({});
  conversation.begin(async () => done);
  expect(await conversation.turn()).toEqual({ answer: done });
});

test('a call that fails rejects the turn that waits for it', async () => {
  const conversation = new Conversation({});
  conversation.begin(() => Promise.reject(new Error('broken')));
  await expect(conversation.turn()).rejects.toThrow('broken');
});

test('a question is handed out, answered in a later turn, and its answer reaches who asked', async () => {
  const conversation = new Conversation({});
  conversation.begin(async () => ({ result: { heard: await conversation.ask(question('name?')) } }));
  expect(await turnAfter(conversation, 20)).toEqual({ questions: { q1: question('name?') } });
  conversation.deliver({ q1: { action: 'accept', content: { name: 'Mina' } } });
  expect(await conversation.turn()).toEqual({
    answer: { result: { heard: { result: { action: 'accept', content: { name: 'Mina' } } } } },
  });
});

test('questions that are asked together are handed out together, later ones in turns of their own', async () => {
  const conversation = new Conversation({});
  conversation.begin(async () => {
    await Promise.all([conversation.ask(question('a')), conversation.ask(question('b'))]);
    await conversation.ask(question('c'));
    return done;
  });
  expect(await turnAfter(conversation, 20)).toEqual({ questions: { q1: question('a'), q2: question('b') } });
  conversation.deliver({ q1: {}, q2: {} });
  expect(await turnAfter(conversation, 20)).toEqual({ questions: { q3: question('c') } });
  conversation.deliver({ q3: {} });
  expect(await conversation.turn()).toEqual({ answer: done });
});

test('what was not answered, or not with an object, is asked again; what answers nothing is left aside', async () => {
  const conversation = new Conversation({});
  const heard: Answer[] = [];
  conversation.begin(async () => {
    await Promise.all(['a', 'b', 'c'].map(async (text) => heard.push(await conversation.ask(question(text, text)))));
    return done;
  });
  await turnAfter(conversation, 20);
  conversation.deliver({ a: { action: 'decline' }, b: 'accept', nobody: { action: 'accept' } });
  expect(await conversation.turn()).toEqual({ questions: { b: question('b'), c: question('c') } });
  expect(heard).toEqual([{ result: { action: 'decline' } }]);
  conversation.deliver({ b: { n: 1 }, c: { n: 2 } });
  expect(await conversation.turn()).toEqual({ answer: done });
  expect(heard).toHaveLength(3);
});

test('a turn that begins soon after an answer is not ended by the clock of a question that was answered', async () => {
  const conversation = new Conversation({});
  let finish = () => {};
  const work = new Promise<void>((resolve) => {
    finish = resolve;
  });
  conversation.begin(async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const first = conversation.ask(question('a'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    await Promise.all([first, conversation.ask(question('b'))]);
    await work;
    return done;
  });
  expect(await turnAfter(conversation, 21)).toEqual({ questions: { q1: question('a'), q2: question('b') } });
  conversation.deliver({ q1: {}, q2: {} });
  const last = conversation.turn();
  await vi.advanceTimersByTimeAsync(50);
  finish();
  expect(await last).toEqual({ answer: done });
});

describe('the name of a question', () => {
  test('is the one that its server gave it, which the client sees as key and not as member', async () => {
    const conversation = new Conversation({});
    conversation.begin(async () => {
      await conversation.ask({ method: 'roots/list', params: { _meta: { [questionKey]: 'where', other: 1 } } });
      return done;
    });
    expect(await turnAfter(conversation, 20)).toEqual({ questions: { where: { method: 'roots/list', params: { _meta: { other: 1 } } } } });
  });

  test('is one of ours where two open questions have the same, or it is none', async () => {
    const conversation = new Conversation({});
    conversation.begin(async () => {
      await Promise.all(['same', 'same', ''].map((name, index) => conversation.ask(question(String(index), name))));
      return done;
    });
    expect(await turnAfter(conversation, 20)).toEqual({ questions: { same: question('0'), q1: question('1'), q2: question('2') } });
  });

  test('that a server gives like one of ours takes no other question its place', async () => {
    const conversation = new Conversation({});
    conversation.begin(async () => {
      await Promise.all([conversation.ask(question('named', 'q1')), conversation.ask(question('unnamed'))]);
      return done;
    });
    const turn = await turnAfter(conversation, 20);
    expect('questions' in turn && Object.values(turn.questions)).toEqual([question('named'), question('unnamed')]);
  });
});

describe('answers that came before their questions', () => {
  test('answer the questions of their names without a turn', async () => {
    const conversation = new Conversation({ name: { action: 'accept' }, other: 1 });
    conversation.begin(async () => ({ result: { heard: await conversation.ask(question('name?', 'name')) } }));
    expect(await conversation.turn()).toEqual({ answer: { result: { heard: { result: { action: 'accept' } } } } });
  });

  test('answer once: a server that asks again is not told the same again', async () => {
    const conversation = new Conversation({ name: { action: 'accept' } });
    conversation.begin(async () => {
      await conversation.ask(question('name?', 'name'));
      await conversation.ask(question('really?', 'name'));
      return done;
    });
    expect(await turnAfter(conversation, 20)).toEqual({ questions: { name: question('really?') } });
  });
});

test('calling it off fails the open questions and any later one with the reason', async () => {
  const conversation = new Conversation({});
  const reason = new Error('the client has gone');
  const heard: unknown[] = [];
  conversation.begin(async () => {
    await conversation.ask(question('a')).catch((error: unknown) => heard.push(error));
    await conversation.ask(question('b')).catch((error: unknown) => heard.push(error));
    conversation.signal.throwIfAborted();
    return done;
  });
  await turnAfter(conversation, 20);
  conversation.abort(reason);
  await vi.advanceTimersByTimeAsync(0);
  expect(heard).toEqual([reason, reason]);
  expect(conversation.signal.reason).toBe(reason);
});

test('a question that is open when the call ends, or comes after it, is refused: nobody is left to be asked', async () => {
  const conversation = new Conversation({});
  let end = (_answer: Answer) => {};
  conversation.begin(() => new Promise((resolve) => (end = resolve)));
  const early = conversation.ask(question('early'));
  const refused = expect(early).rejects.toThrow(CallOverError);
  end(done);
  await vi.advanceTimersByTimeAsync(0);
  expect(await conversation.turn()).toEqual({ answer: done });
  await refused;
  await expect(conversation.ask(question('late'))).rejects.toThrow(CallOverError);
});
