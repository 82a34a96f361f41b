import { type Body, bodyOf, textOf } from '../usage/reported-usage.ts';
import { anthropicMessages } from './anthropic-messages.ts';
import { geminiGenerate } from './gemini-generate.ts';
import type { ModelApi, ModelApiName } from './model-api.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiEmbeddings, openaiResponses } from './openai-responses.ts';

/** A call of a model, as the functions among the options of `meterFetch` are told of it. */
export interface ModelRequest {
  /** In which shape the model is called. */
  readonly api: ModelApiName;
  /** Where the call goes. */
  readonly url: string;
  /** The model. */
  readonly model: string;
  /** The JSON body, not to be changed. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** The two arguments of a fetch. */
export type FetchArguments = Parameters<typeof fetch>;

/** A call that a meter has recognised. */
export interface RecognisedCall extends ModelRequest {
  readonly shape: ModelApi;
  readonly idempotencyKey: string | undefined;
}

/** What a meter makes of the arguments of a fetch. */
export interface Recognised {
  /** None where they are anything but the call of a model. */
  readonly call: RecognisedCall | undefined;
  /** What to hand to the fetch below. A body that could be read once is a text in it. */
  readonly args: FetchArguments;
}

const apis: readonly ModelApi[] = [openaiChat, openaiResponses, openaiEmbeddings, anthropicMessages, geminiGenerate];

/** Recognises a call of a model by its method, its path and its body. */
export async function recognise(args: FetchArguments): Promise<Recognised> {
  const [input, init] = args;
  const method = init?.method ?? (isRequest(input) ? input.method : 'GET');
  if (method.toUpperCase() !== 'POST') return { call: undefined, args };
  const url = isRequest(input) ? input.url : String(input);
  const path = pathOf(url);
  const shape = apis.find((api) => api.path.test(path));
  return shape === undefined ? { call: undefined, args } : recognised(shape, url, path, args);
}

async function recognised(shape: ModelApi, url: string, path: string, given: FetchArguments): Promise<Recognised> {
  const { text, args } = await textOfBody(given);
  const body = bodyOf(parsed(text));
  const model = textOf(body['model']) ?? decoded(shape.path.exec(path)?.groups?.['model']);
  if (model === undefined) return { call: undefined, args };
  const idempotencyKey = textOf(headersOf(args).get('idempotency-key'));
  return { call: { shape, api: shape.name, url, model, body, idempotencyKey }, args };
}

/** The same call with another body. */
export function withBody([input, init]: FetchArguments, body: Body): FetchArguments {
  const headers = headersOf([input, init]);
  headers.delete('content-length'); // it was that of the body before
  return [input, { ...init, headers, body: JSON.stringify(body) }];
}

/** Aborts the call. */
export function signalOf([input, init]: FetchArguments): AbortSignal | undefined {
  if (init?.signal !== undefined) return init.signal ?? undefined; // null takes a Request's own signal away
  return isRequest(input) ? input.signal : undefined;
}

async function textOfBody(args: FetchArguments): Promise<{ text: string; args: FetchArguments }> {
  const [input, init] = args;
  const body: unknown = init?.body;
  if (typeof body === 'string') return { text: body, args };
  if (body === undefined || body === null) return { text: isRequest(input) ? await input.clone().text() : '', args };
  const text = await new Response(body as ConstructorParameters<typeof Response>[0]).text();
  // what can be read once has been
  const isUsed = typeof body === 'object' && (body instanceof ReadableStream || Symbol.asyncIterator in body);
  return { text, args: isUsed ? [input, { ...init, body: text }] : args };
}

function headersOf([input, init]: FetchArguments): Headers {
  return new Headers(init?.headers ?? (isRequest(input) ? input.headers : undefined));
}

function isRequest(input: FetchArguments[0]): input is Request {
  return typeof input === 'object' && 'url' in input;
}

function pathOf(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname : '';
}

function decoded(model: string | undefined): string | undefined {
  try {
    return model === undefined ? undefined : decodeURIComponent(model);
  } catch {
    return model;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
