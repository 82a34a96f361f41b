import type { Seen } from '../meter/metered-call.ts';
import { usageFromOpenAI } from '../usage/openai-usage.ts';
import { type Body, bodyOf, listOf, type ReportedUsage, textOf } from '../usage/reported-usage.ts';
import { type AnswerReader, bytesOf, jsonBytesOf, limitOf, type ModelApi } from './model-api.ts';

/** Chat completions, and the older completions, of OpenAI and of all that answer in their shape. */
export const openaiChat: ModelApi = {
  name: 'openai-chat',
  path: /(?:\/deployments\/(?<model>[^/]+))?\/(?:chat\/)?completions$/,
  outputOf: (body) => ({
    each: limitOf(body['max_completion_tokens'], body['max_tokens']),
    answers: limitOf(body['best_of'], body['n']) ?? 1,
    least: 1,
  }),
  withLimit(body, each) {
    const name =
      typeof body['max_tokens'] === 'number' && typeof body['max_completion_tokens'] !== 'number' ? 'max_tokens' : 'max_completion_tokens';
    return { ...body, [name]: each };
  },
  tierOf: (body) => textOf(body['service_tier']),
  askingForUsage(body) {
    const options = bodyOf(body['stream_options']);
    if (body['stream'] !== true || options['include_usage'] === true) return undefined;
    return { ...body, stream_options: { ...options, include_usage: true } };
  },
  isUsageOnly: (event) =>
    Array.isArray(event['choices']) && event['choices'].length === 0 && typeof event['usage'] === 'object' && event['usage'] !== null,
  reader: () => new ChatReader(),
};

class ChatReader implements AnswerReader {
  #reported: ReportedUsage = {};
  #usageSeen = false;
  #finished = false;
  #final = false;
  #failed = false;
  #bytes = 0;
  over = false;

  get seen(): Seen {
    return { reported: this.#reported, final: this.#final, failed: this.#failed, receivedBytes: this.#bytes, goesOn: false };
  }

  event(event: Body): void {
    const choices = listOf(event['choices']);
    if (typeof event['error'] === 'object' && event['error'] !== null) this.#failed = true;
    for (const choice of choices) {
      this.#bytes += bytesOfMessage(bodyOf(choice['delta'])) + bytesOf(choice['text']);
      if (textOf(choice['finish_reason']) !== undefined) this.#finished = true;
    }
    const said = usageFromOpenAI(event);
    this.#reported = { ...this.#reported, ...said };
    if (said.usage === undefined) return;
    this.#usageSeen = true;
    // some tell the usage so far with every event
    this.#final = choices.length === 0 || this.#finished;
  }

  mark(data: string): void {
    if (data !== '[DONE]') return;
    this.over = true;
    this.#final = this.#usageSeen;
  }

  whole(answer: unknown): void {
    const body = bodyOf(answer);
    this.#failed = typeof body['error'] === 'object' && body['error'] !== null;
    this.#reported = usageFromOpenAI(answer);
    this.#final = this.#reported.usage !== undefined;
    for (const choice of listOf(body['choices'])) this.#bytes += bytesOfMessage(bodyOf(choice['message'])) + bytesOf(choice['text']);
    this.over = true;
  }
}

/** What the model wrote: what is heard or drawn has no bytes of text. */
function bytesOfMessage(message: Body): number {
  const { content, refusal, reasoning, reasoning_content } = message;
  const spoken = bytesOf(bodyOf(message['audio'])['transcript']);
  const calls = listOf(message['tool_calls']).map(({ function: called, custom }) => {
    const { name, arguments: text, input } = bodyOf(called ?? custom);
    return bytesOf(name, text, input);
  });
  const parts = Array.isArray(content) ? jsonBytesOf(content) : bytesOf(content);
  return parts + bytesOf(refusal, reasoning ?? reasoning_content) + spoken + calls.reduce((sum, bytes) => sum + bytes, 0);
}
