import { onlyKnown } from '../options.ts';
import type { Classifier, Outcome } from '../outcome.ts';
import { fieldsOf } from './api-error.ts';
import {
  answerOutcome,
  type HttpClassifierOptions,
  httpOptions,
  type StatusRules,
  statusOutcome,
  statusRules,
  thrownOutcome,
} from './http-classifier.ts';
import { isStatus, namesOf, statusOf } from './thrown.ts';

/** What an {@link mcpClassifier} makes of answers that ask for fewer calls. */
export type McpClassifierOptions = HttpClassifierOptions;

/** Codes of the SDK's own errors (version 2) that say nothing about a connection: the first group was answered, the second never sent. */
const local: Readonly<Record<string, Outcome>> = {
  INVALID_RESULT: 'success',
  UNSUPPORTED_RESULT_TYPE: 'success',
  INPUT_REQUIRED_ROUNDS_EXCEEDED: 'success',
  LIST_PAGINATION_EXCEEDED: 'success',
  CAPABILITY_NOT_SUPPORTED: 'ignore',
  METHOD_NOT_SUPPORTED_BY_PROTOCOL_VERSION: 'ignore',
  ALREADY_CONNECTED: 'ignore',
  NOT_INITIALIZED: 'ignore',
};

/**
 * Judges calls of an MCP server by whether the server can answer, not by what it answers.
 *
 * A result with `isError: true` is a success, and so is a JSON-RPC error about the request (-32602, -32601, -32600, -32002 for a
 * resource that is not there, -32603 for what a handler threw, and those of the protocol from -32020 down). The server is at fault with -32000 to
 * -32019, among them the SDK's closed connection (-32000) and timeout (-32001). Over HTTP, statuses mean what they mean to
 * {@link httpClassifier}: a 404 for a session that was lost counts as nothing. All else that is thrown is the transport's, and a failure.
 *
 * @throws RangeError for options that are unknown or not allowed.
 */
export function mcpClassifier(options: McpClassifierOptions = {}): Classifier {
  onlyKnown('mcpClassifier', options, httpOptions);
  const rules = statusRules(options, 'ignore');
  return {
    value: (answer) => answerOutcome(answer, rules) ?? byCode(fieldsOf(fieldsOf(answer)?.['error'])?.['code']) ?? 'success',
    error: (error) => thrownOutcome(error, (link) => errorOutcome(link, rules)),
  };
}

function errorOutcome(error: unknown, rules: StatusRules): Outcome | undefined {
  const code = fieldsOf(error)?.['code'];
  if (typeof code === 'string' && Object.hasOwn(local, code)) return local[code];
  const status = statusOf(error) ?? (isStatus(code) ? code : undefined); // transports of the SDK's version 1 keep it in `code`
  if (status !== undefined) return statusOutcome(status, error, rules);
  const names = namesOf(error);
  if (names.includes('UnauthorizedError')) return 'ignore';
  // other errors have numbers as well: 19 is a DOMException's for the network, -1 the SDK's for an answer of no type that it knows
  const fromServer = Number(code) < -1 || names.includes('McpError') || names.includes('ProtocolError');
  return fromServer ? byCode(code) : undefined;
}

/** What a code of JSON-RPC means; below -32019 the revision 2026-07-28 defines errors about requests. */
function byCode(code: unknown): Outcome | undefined {
  if (typeof code !== 'number' || !Number.isInteger(code)) return undefined;
  return code <= -32_000 && code > -32_020 && code !== -32_002 ? 'failure' : 'success';
}
