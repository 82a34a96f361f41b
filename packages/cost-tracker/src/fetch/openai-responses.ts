import type { Seen } from '../meter/metered-call.ts';
import { usageFromOpenAI } from '../usage/openai-usage.ts';
import { type Body, bodyOf, type ReportedUsage, textOf } from '../usage/reported-usage.ts';
import { type AnswerReader, bytesOf, jsonBytesOf, limitOf, type ModelApi } from './model-api.ts';

/** OpenAI refuses a lower limit. */
const LEAST_OUTPUT = 16;
const unfinished = new Set(['queued', 'in_progress']);

/** Responses of OpenAI. */
export const openaiResponses: ModelApi = {
  name: 'openai-responses',
  path: /(?:\/deployments\/(?<model>[^/]+))?\/responses$/,
  outputOf: (body) => ({ each: limitOf(body['max_output_tokens']), answers: 1, least: LEAST_OUTPUT }),
  withLimit: (body, each) => ({ ...body, max_output_tokens: each }),
  tierOf: (body) => textOf(body['service_tier']),
  reader: () => new ResponsesReader(),
};

/** Embeddings of OpenAI and of all that answer in their shape: nothing comes back that is counted. */
export const openaiEmbeddings: ModelApi = {
  name: 'openai-embeddings',
  path: /(?:\/deployments\/(?<model>[^/]+))?\/embeddings$/,
  outputOf: () => ({ each: 0, answers: 1, least: 0 }),
  withLimit: (body) => body,
  reader: () => new ResponsesReader(),
};

class ResponsesReader implements AnswerReader {
  #reported: ReportedUsage = {};
  #final = false;
  #failed = false;
  #goesOn = false;
  #bytes = 0;
  over = false;

  get seen(): Seen {
    return { reported: this.#reported, final: this.#final, failed: this.#failed, receivedBytes: this.#bytes, goesOn: this.#goesOn };
  }

  event(event: Body): void {
    const type = String(event['type']);
    if (type === 'error' || type === 'response.failed') this.#failed = true;
    // what is heard or drawn is no text
    else if (type.endsWith('.delta') && type !== 'response.audio.delta') this.#bytes += bytesOf(event['delta']);
    if (typeof event['response'] !== 'object') return;
    this.#reported = { ...this.#reported, ...usageFromOpenAI(event) };
    this.over = /^response\.(completed|incomplete|failed|cancelled)$/.test(type);
    this.#final = this.over && this.#reported.usage !== undefined;
    this.#goesOn = !this.over && bodyOf(event['response'])['background'] === true;
  }

  whole(answer: unknown): void {
    const body = bodyOf(answer);
    this.#reported = usageFromOpenAI(answer);
    this.#failed = typeof body['error'] === 'object' && body['error'] !== null;
    this.#final = this.#reported.usage !== undefined;
    this.#goesOn = unfinished.has(String(body['status']));
    this.#bytes = jsonBytesOf(body['output']);
    this.over = true;
  }
}
