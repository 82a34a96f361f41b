import type { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks';

type Json = Record<string, unknown>;

/** What a client answers when it is asked. */
export interface Answers {
  readonly 'sampling/createMessage': Json;
  readonly 'elicitation/create': (params: Json) => Json;
  readonly 'roots/list': Json;
}

/** What a client was asked. */
export type Questions = { readonly method: string; readonly params: Json }[];

const offered = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };
const offeredLater = { tasks: { requests: { sampling: { createMessage: {} }, elicitation: { create: {} } } } };

/** What a client offers and remembers; without answers it offers nothing, with tasks it answers in a task where it is asked to. */
export function questioned(answers: Answers | undefined, tasks?: InMemoryTaskStore) {
  const questions: Questions = [];
  const answer =
    (method: keyof Answers) =>
    // biome-ignore lint/suspicious/noExplicitAny: each method has a result type of its own, in each line of the SDK
    async (request: { method: string; params?: unknown }, extra?: any): Promise<any> => {
      const { _meta, ...params } = (request.params ?? {}) as Json;
      questions.push({ method, params });
      const told = answers?.[method];
      const given = typeof told === 'function' ? told(params) : told;
      if (tasks === undefined || params['task'] === undefined) return given;
      const task = { ...(await tasks.createTask({ ttl: 60_000 }, extra.requestId, { method, params })) };
      await tasks.storeTaskResult(task.taskId, 'completed', given as Json);
      return { task };
    };
  return { capabilities: answers === undefined ? {} : { ...offered, ...(tasks && offeredLater) }, questions, answer };
}
