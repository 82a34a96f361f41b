import type { ClientQuestion } from './call.ts';
import { type Answer, isObject, type JsonObject } from './json-rpc.ts';

/** A member of a question's `_meta` by which a server may name the question; the client sees the name, not the member. */
export const questionKey = 'io.tidegate/inputKey';

/** How long after a question others are waited for, so that what is asked together is handed out together, in ms. */
const gatherMs = 20;

interface OpenQuestion {
  readonly question: ClientQuestion;
  readonly answer: (answer: Answer) => void;
  readonly reject: (reason: unknown) => void;
}

/** The call is over, and with it the chance to put a question to its client. */
export class CallOverError extends Error {
  constructor() {
    super('the call is over; nobody can be asked for it any more');
  }
}

/** How far a conversation has come: it is over, or waits for the client. */
export type Turn = { readonly answer: Answer } | { readonly questions: Readonly<Record<string, ClientQuestion>> };

/**
 * One call of a client that cannot be asked while it waits: the call runs on, and its questions are handed out and answered
 * in turns, each a request of its own.
 */
export class Conversation {
  readonly #open = new Map<string, OpenQuestion>();
  readonly #abort = new AbortController();
  readonly #given: Map<string, unknown>;
  #asked = 0;
  #over: Promise<Answer> = Promise.resolve({ result: {} });
  #isOver = false;
  #wake: (() => void) | undefined;

  /** `given` are answers that came before their questions, by the questions' names: each for one question. */
  constructor(given: JsonObject) {
    this.#given = new Map(Object.entries(given));
  }

  /** Aborted when the conversation is called off. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Starts the call. */
  begin(call: () => Promise<Answer>): void {
    this.#over = call();
    // whoever takes the next turn hears how it ended; a question that is still open has nobody left who could hand it out
    const end = () => {
      this.#isOver = true;
      for (const { reject } of [...this.#open.values()]) reject(new CallOverError());
    };
    this.#over.then(end, end);
  }

  /** Puts a question to the client; resolves when a later turn brings the answer. */
  ask(question: ClientQuestion): Promise<Answer> {
    if (this.#abort.signal.aborted) return Promise.reject(this.#abort.signal.reason);
    if (this.#isOver) return Promise.reject(new CallOverError());
    const [key, unnamed] = this.#name(question);
    const given = this.#given.get(key);
    this.#given.delete(key); // a server that asks again did not like it
    if (isObject(given)) return Promise.resolve({ result: given });
    return new Promise((resolve, reject) => {
      const onAbort = () => reject(this.#abort.signal.reason);
      this.#abort.signal.addEventListener('abort', onAbort, { once: true });
      const end = <T>(settle: (value: T) => void, value: T) => {
        this.#open.delete(key);
        this.#abort.signal.removeEventListener('abort', onAbort);
        settle(value);
      };
      this.#open.set(key, { question: unnamed, answer: (said) => end(resolve, said), reject: (reason) => end(reject, reason) });
      setTimeout(() => {
        if (this.#open.size > 0) this.#wake?.();
      }, gatherMs);
    });
  }

  /** Waits until the call is over or has questions. */
  async turn(): Promise<Turn> {
    if (this.#open.size === 0) {
      const asked = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const answer = await Promise.race([this.#over, asked]);
      this.#wake = undefined;
      if (answer !== undefined) return { answer };
    }
    return { questions: Object.fromEntries([...this.#open].map(([key, { question }]) => [key, question])) };
  }

  /** Hands answers in by the keys of their questions; what answers no open question is left aside. */
  deliver(answers: JsonObject): void {
    for (const [key, { answer }] of [...this.#open]) {
      const given = answers[key];
      if (isObject(given)) answer({ result: given });
    }
  }

  /** Calls the call and its questions off. */
  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }

  /** The question's key: its own name if it has one that is free. */
  #name({ method, params }: ClientQuestion): [string, ClientQuestion] {
    const { _meta, ...others } = params;
    const { [questionKey]: name, ...rest } = isObject(_meta) ? _meta : {};
    const key = typeof name === 'string' && name !== '' && !this.#open.has(name) ? name : this.#freeName();
    return [key, { method, params: Object.keys(rest).length === 0 ? others : { ...others, _meta: rest } }];
  }

  #freeName(): string {
    do this.#asked += 1;
    while (this.#open.has(`q${this.#asked}`));
    return `q${this.#asked}`;
  }
}
