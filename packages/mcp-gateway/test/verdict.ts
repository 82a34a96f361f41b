import { type FrameEra, validateFrame } from '../../../tests/conformance/frames.ts';
import { legacyRevisions } from '../src/wire/legacy.ts';
import type { Heard, Posted } from './in-process.ts';
import { parsed } from './in-process.ts';
import type { Json } from './mutations.ts';

/** A frame as the gateway ought to read it. */
export interface Reading {
  readonly isRequest: boolean;
  readonly era: FrameEra;
  /** The id that a request's answer must have. */
  readonly id?: unknown;
  readonly method?: string;
}

const version = 'io.modelcontextprotocol/protocolVersion';
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const isId = (value: unknown) => typeof value === 'string' || Number.isInteger(value);

/** What a frame is, told independently of the gateway: a request is whatever has an id by which it can be answered. */
export function readingOf(text: string, headers: Readonly<Record<string, string | undefined>> = {}): Reading {
  const value = parsed(text);
  if (!isObject(value)) return { isRequest: false, era: 'legacy' };
  const { id, method, params } = value;
  const meta = isObject(params) ? params['_meta'] : undefined;
  const named = headers['mcp-protocol-version'];
  const foreign = named !== undefined && !legacyRevisions.includes(named) && headers['mcp-session-id'] === undefined;
  const era = (isObject(meta) && Object.hasOwn(meta, version)) || (foreign && method !== 'initialize') ? 'modern' : 'legacy';
  const answers = !('method' in value) && ('result' in value || 'error' in value);
  const known = typeof method === 'string' ? { method } : {};
  if (isId(id) && !answers) return { isRequest: true, era, id, ...known };
  return { isRequest: false, era, ...known };
}

/** What is wrong with the messages that came for a frame. */
export function messageProblems({ isRequest, era, id, method }: Reading, messages: readonly unknown[], takenBack: boolean): string[] {
  const problems = messages.flatMap((message) =>
    validateFrame(era, 'to-client', message, isObject(message) && 'method' in message ? undefined : method),
  );
  const answers = messages.filter((message): message is Json => isObject(message) && !('method' in message));
  if (isRequest) {
    if (answers.length !== 1 && !(takenBack && answers.length === 0)) problems.push(`${answers.length} answers to a request`);
    for (const answer of answers)
      if (answer['id'] !== id) problems.push(`an answer to ${JSON.stringify(answer['id'])} for ${JSON.stringify(id)}`);
  } else {
    if (answers.some((answer) => 'id' in answer || 'result' in answer)) problems.push('an answer to what is no request');
    if (answers.length > 1) problems.push(`${answers.length} answers to what is no request`);
  }
  return problems;
}

/** Refusals by the headers alone: the body has not been read. */
const unread = [401, 403, 405, 406, 415];

/** What is wrong with the reply to a POST; nothing where it is as the era of the frame wants it. */
export function replyProblems(
  { headers, body }: Posted,
  { status, messages, replies, headers: told }: Heard,
  takenBack: boolean,
): string[] {
  const text = body.toString('utf8');
  const reading = readingOf(text, headers);
  if (replies > 1) return [`${replies} replies`];
  if (takenBack && status === 0) return [];
  if (told['content-type'] === 'application/problem+json') return unread.includes(status) ? [] : [`a problem with status ${status}`];
  if (unread.includes(status)) return messageProblems({ isRequest: false, era: reading.era }, messages, false);
  const problems = messageProblems(reading, messages, takenBack);
  const answer = messages.find((message): message is Json => isObject(message) && !('method' in message));
  const code = (answer?.['error'] as Json | undefined)?.['code'];
  const streamed = told['content-type'] === 'text/event-stream';
  if (parsed(text) === text && (status !== 400 || code !== -32_700)) problems.push(`status ${status}, code ${code} for what is no JSON`);
  if (answer === undefined && !streamed && status !== 202 && !takenBack) problems.push(`status ${status} and no message`);
  if (answer !== undefined && !streamed) problems.push(...statusProblems(reading.era, status, code));
  if (streamed && status !== 200) problems.push(`a stream with status ${status}`);
  return problems;
}

function statusProblems(era: FrameEra, status: number, code: unknown): string[] {
  const wanted = (() => {
    if (code === undefined) return [200];
    if (era === 'legacy') return [200, 400, 404, 409, 503];
    if (code === -32_601) return [404];
    return code === -32_020 || code === -32_021 || code === -32_022 ? [400] : [200, 400];
  })();
  return wanted.includes(status) ? [] : [`status ${status} for code ${code}`];
}
