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

/** What a client offers and remembers; without answers it offers nothing. */
export function questioned(answers: Answers | undefined) {
  const questions: Questions = [];
  // biome-ignore lint/suspicious/noExplicitAny: each method has a result type of its own, in both lines of the SDK
  const answer = (method: keyof Answers) => async (request: { params?: unknown }): Promise<any> => {
    const { _meta, ...params } = (request.params ?? {}) as Json;
    questions.push({ method, params });
    const given = answers?.[method];
    return typeof given === 'function' ? given(params) : given;
  };
  return { capabilities: answers === undefined ? {} : offered, questions, answer };
}
