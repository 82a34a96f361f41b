import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** A request as the provider got it. */
export interface LlmRequest {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Readonly<Record<string, unknown>>;
}

export type LlmAnswer = (response: ServerResponse, request: LlmRequest) => void | Promise<void>;

/** A provider of models on loopback for one test; `answer` may be exchanged while it runs. */
export async function llmServer(answer: LlmAnswer) {
  let current = answer;
  const requests: LlmRequest[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const got = { url: request.url ?? '', headers: request.headers, body: text.startsWith('{') ? JSON.parse(text) : { text } };
    requests.push(got);
    await current(response, got);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    answer: (next: LlmAnswer) => {
      current = next;
    },
  };
}

/** Sends a JSON body. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): LlmAnswer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
}

/** The text of a `text/event-stream`. */
export function eventText(events: ReadonlyArray<object | string>): string {
  return events.map(eventOf).join('');
}

/** Sends events, each after the one before was flushed, and then does what `then` does. */
export function events(
  list: ReadonlyArray<object | string>,
  then: (response: ServerResponse) => void = (response) => response.end(),
): LlmAnswer {
  return async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    for (const event of list) await new Promise((resolve) => response.write(eventOf(event), resolve));
    then(response);
  };
}

function eventOf(event: object | string): string {
  const { type } = event as { type?: string };
  return `${type === undefined ? '' : `event: ${type}\n`}data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`;
}

/** An answer of a model in the shape of one API. */
export interface Wire {
  /** An answer at once: "hello", 100 tokens in of which 20 are cached, 10 out. */
  readonly whole: Readonly<Record<string, unknown>>;
  /** The same as a stream. */
  readonly stream: ReadonlyArray<object | string>;
  /** How many events of it there are before its usage is known. */
  readonly beforeUsage: number;
}

const chatUsage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110, prompt_tokens_details: { cached_tokens: 20 } };
const chatChunk = (fields: object) => ({ id: 'c1', object: 'chat.completion.chunk', model: 'm-1', ...fields });
export const chatUsageChunk = chatChunk({ choices: [], usage: chatUsage });

export const chatWire: Wire = {
  whole: {
    ...{ id: 'c1', object: 'chat.completion', model: 'm-1', usage: chatUsage },
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello' } }],
  },
  stream: [
    ...['he', 'll', 'o'].map((content) => chatChunk({ choices: [{ index: 0, delta: { content }, finish_reason: null }], usage: null })),
    chatChunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: null }),
    chatUsageChunk,
    '[DONE]',
  ],
  beforeUsage: 4,
};

const responseUsage = {
  ...{ input_tokens: 100, output_tokens: 10, total_tokens: 110 },
  ...{ input_tokens_details: { cached_tokens: 20 }, output_tokens_details: { reasoning_tokens: 0 } },
};
const message = { type: 'message', id: 'o1', role: 'assistant', status: 'completed' };
const response = {
  ...{ id: 'r1', object: 'response', created_at: 1, model: 'm-1', status: 'completed', error: null, usage: responseUsage },
  output: [{ ...message, content: [{ type: 'output_text', text: 'hello', annotations: [] }] }],
};

export const responsesWire: Wire = {
  whole: response,
  stream: [
    { type: 'response.created', sequence_number: 0, response: { ...response, status: 'in_progress', usage: null, output: [] } },
    ...['he', 'll', 'o'].map((delta, at) => ({
      ...{ type: 'response.output_text.delta', sequence_number: at + 1, item_id: 'o1', output_index: 0, content_index: 0, delta },
    })),
    { type: 'response.completed', sequence_number: 4, response },
  ],
  beforeUsage: 4,
};

const messageUsage = { input_tokens: 80, cache_read_input_tokens: 20, cache_creation_input_tokens: 0, output_tokens: 10 };
const anthropicMessage = { id: 'm1', type: 'message', role: 'assistant', model: 'm-1', stop_reason: 'end_turn', stop_sequence: null };

export const messagesWire: Wire = {
  whole: { ...anthropicMessage, content: [{ type: 'text', text: 'hello' }], usage: messageUsage },
  stream: [
    {
      type: 'message_start',
      message: { ...anthropicMessage, stop_reason: null, content: [], usage: { ...messageUsage, output_tokens: 1 } },
    },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ...['he', 'll', 'o'].map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 10, input_tokens: null } },
    { type: 'message_stop' },
  ],
  beforeUsage: 6,
};

const geminiUsage = { promptTokenCount: 100, cachedContentTokenCount: 20, candidatesTokenCount: 10, totalTokenCount: 110 };
const geminiChunk = (text: string, fields: object = {}) => ({
  candidates: [{ content: { role: 'model', parts: [{ text }] }, ...fields }],
  modelVersion: 'm-1',
  responseId: 'g1',
});

export const geminiWire: Wire = {
  whole: { ...geminiChunk('hello', { finishReason: 'STOP' }), usageMetadata: geminiUsage },
  stream: [
    {
      ...geminiChunk('he'),
      usageMetadata: { promptTokenCount: 100, cachedContentTokenCount: 20, candidatesTokenCount: 4, totalTokenCount: 104 },
    },
    { ...geminiChunk('llo', { finishReason: 'STOP' }), usageMetadata: geminiUsage },
  ],
  beforeUsage: 1,
};
