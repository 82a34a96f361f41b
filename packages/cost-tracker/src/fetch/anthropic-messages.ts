import type { Seen } from '../meter/metered-call.ts';
import { usageFromAnthropic } from '../usage/anthropic-usage.ts';
import { type Body, bodyOf, type ReportedUsage, textOf } from '../usage/reported-usage.ts';
import { type AnswerReader, bytesOf, jsonBytesOf, limitOf, type ModelApi } from './model-api.ts';

/** Messages of Anthropic. */
export const anthropicMessages: ModelApi = {
  name: 'anthropic-messages',
  path: /\/v1\/messages$/,
  outputOf: (body) => ({ each: limitOf(body['max_tokens']), answers: 1, least: leastOutput(body) }),
  withLimit: (body, each) => ({ ...body, max_tokens: each }),
  // its service_tier chooses between what is bought in advance and what is not; only what was used tells the price
  tierOf: (body) => (body['speed'] === 'fast' ? 'fast' : undefined),
  regionOf: (body) => textOf(body['inference_geo']),
  reader: () => new MessagesReader(),
};

/** The limit must be higher than what is to be thought. */
function leastOutput(body: Body): number {
  const thinking = bodyOf(body['thinking']);
  return thinking['type'] === 'enabled' ? (limitOf(thinking['budget_tokens']) ?? 0) + 1 : 1;
}

class MessagesReader implements AnswerReader {
  #message: Body = {};
  #reported: ReportedUsage = {};
  #final = false;
  #failed = false;
  #bytes = 0;
  over = false;

  get seen(): Seen {
    return { reported: this.#reported, final: this.#final, failed: this.#failed, receivedBytes: this.#bytes, goesOn: false };
  }

  event(event: Body): void {
    const { type } = event;
    if (type === 'message_start') this.#learn(bodyOf(event['message']), {});
    else if (type === 'content_block_start') this.#begin(bodyOf(event['content_block']));
    else if (type === 'content_block_delta') this.#add(bodyOf(event['delta']));
    else if (type === 'message_delta') this.#count(bodyOf(event['usage']));
    else if (type === 'message_stop') this.over = true;
    else if (type === 'error') this.#failed = true;
  }

  whole(answer: unknown): void {
    const body = bodyOf(answer);
    this.#failed = body['type'] === 'error';
    this.#learn(body, {});
    this.#final = this.#reported.usage !== undefined;
    this.#bytes = jsonBytesOf(body['content']);
    this.over = true;
  }

  #begin({ name, input }: Body): void {
    this.#bytes += bytesOf(name) + (Object.keys(bodyOf(input)).length > 0 ? jsonBytesOf(input) : 0);
  }

  #add({ text, thinking, partial_json }: Body): void {
    this.#bytes += bytesOf(text, thinking, partial_json);
  }

  #count(usage: Body): void {
    if (Object.keys(usage).length === 0) return;
    this.#learn(this.#message, usage);
    this.#final = this.#reported.usage !== undefined;
  }

  /** Counts are cumulative: a later one takes the place of the one before. */
  #learn(message: Body, usage: Body): void {
    const later = Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null));
    this.#message = { ...message, usage: { ...bodyOf(message['usage']), ...later } };
    this.#reported = usageFromAnthropic(this.#message);
  }
}
