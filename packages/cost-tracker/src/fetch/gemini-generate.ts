import type { Seen } from '../meter/metered-call.ts';
import { usageFromGemini } from '../usage/gemini-usage.ts';
import { type Body, bodyOf, listOf, type ReportedUsage, textOf } from '../usage/reported-usage.ts';
import { type AnswerReader, bytesOf, jsonBytesOf, limitOf, type ModelApi } from './model-api.ts';

/** `generateContent` and `streamGenerateContent` of the Gemini API and Vertex AI. */
export const geminiGenerate: ModelApi = {
  name: 'gemini',
  path: /\/models\/(?<model>[^/:]+):(?:g|streamG)enerateContent$/,
  outputOf(body) {
    const { maxOutputTokens, max_output_tokens, candidateCount, candidate_count } = configOf(body);
    return { each: limitOf(maxOutputTokens, max_output_tokens), answers: limitOf(candidateCount, candidate_count) ?? 1, least: 1 };
  },
  withLimit(body, each) {
    const name = body['generation_config'] === undefined ? 'generationConfig' : 'generation_config';
    const { max_output_tokens: _, ...config } = configOf(body);
    return { ...body, [name]: { ...config, maxOutputTokens: each } };
  },
  tierOf: (body) =>
    textOf(body['serviceTier'] ?? body['service_tier'])
      ?.toLowerCase()
      .replace(/^service_tier_/, ''),
  reader: () => new GenerateReader(),
};

function configOf(body: Body): Body {
  return bodyOf(body['generationConfig'] ?? body['generation_config']);
}

class GenerateReader implements AnswerReader {
  #reported: ReportedUsage = {};
  #searches = 0;
  #finished = false;
  #failed = false;
  #bytes = 0;
  /** Each chunk may be the last. */
  readonly over = false;

  get seen(): Seen {
    const final = this.#finished && this.#reported.usage !== undefined;
    return { reported: this.#reported, final, failed: this.#failed, receivedBytes: this.#bytes, goesOn: false };
  }

  event(event: Body): void {
    if (typeof event['error'] === 'object' && event['error'] !== null) this.#failed = true;
    for (const candidate of listOf(event['candidates'])) {
      for (const part of listOf(bodyOf(candidate['content'])['parts']))
        this.#bytes += bytesOf(part['text']) + jsonBytesOf(part['functionCall']);
      if (textOf(candidate['finishReason']) !== undefined) this.#finished = true;
    }
    if (textOf(bodyOf(event['promptFeedback'])['blockReason']) !== undefined) this.#finished = true;
    this.#learn(usageFromGemini(event));
  }

  /** A stream that was not asked to be one of events is a list of them. */
  whole(answer: unknown): void {
    for (const chunk of Array.isArray(answer) ? listOf(answer) : [bodyOf(answer)]) this.event(chunk);
    this.#finished = true;
  }

  /** The usage is that of the whole answer so far, but a search is told once, with or before it. */
  #learn(said: ReportedUsage): void {
    this.#searches = Math.max(this.#searches, said.usage?.webSearches ?? 0);
    const usage = said.usage ?? this.#reported.usage;
    const counted = usage !== undefined && this.#searches > 0 ? { ...usage, webSearches: this.#searches } : usage;
    this.#reported = { ...this.#reported, ...said, ...(counted !== undefined && { usage: counted }) };
  }
}
