import { readFileSync } from 'node:fs';
import type { ErrorObject, ValidateFunction } from 'ajv';
// Ajv compiles each definition to a function once, which is what a million frames need, and runs on every Node since 12.
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

/** Whose rules a frame follows: those of 2025-11-25 or those of 2026-07-28. */
export type FrameEra = 'legacy' | 'modern';

/** To whom a frame goes. */
export type Direction = 'to-server' | 'to-client';

type Json = Readonly<Record<string, unknown>>;

interface Definition {
  readonly anyOf?: readonly { readonly $ref: string }[];
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, { readonly const?: unknown; readonly allOf?: readonly Definition[] }>>;
}

interface Revision {
  readonly name: string;
  /** The definition of the message with this method, by direction. */
  readonly messages: Readonly<Record<Direction, ReadonlyMap<string, string>>>;
  /** The definition of the error response with this code. */
  readonly errors: ReadonlyMap<number, string>;
  has(definition: string): boolean;
  problems(definition: string, value: unknown): string[];
}

const revisions = { legacy: once(() => read('2025-11-25')), modern: once(() => read('2026-07-28')) };

/** The requests that may be answered with `input_required` (2026-07-28, basic/patterns/mrtr). */
const mayAskBack = new Set(['tools/call', 'prompts/get', 'resources/read']);

/** The requests of a server that a task may stand for, and the one of a client (2025-11-25, basic/utilities/tasks). */
const mayBecomeTask = new Set(['tools/call', 'sampling/createMessage', 'elicitation/create']);

/**
 * What is wrong with a frame by the schema of its era; nothing where it is right. A result is checked in full only where
 * the method of its request is given. Methods, result types and error codes that the revision does not know are those of
 * extensions: of them only the envelope is checked, except for what the revision itself has taken out.
 */
export function validateFrame(era: FrameEra, direction: Direction, message: unknown, methodOfRequest?: string): string[] {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return ['a frame is one object'];
  const frame = message as Json;
  if ('method' in frame) return validateCall(era, direction, frame);
  if (era === 'modern' && direction === 'to-server') return ['clients send no responses'];
  if ('error' in frame) return validateError(era, frame);
  return validateResult(era, frame, methodOfRequest);
}

function validateCall(era: FrameEra, direction: Direction, frame: Json): string[] {
  const revision = revisions[era]();
  const method = String(frame['method']);
  const isRequest = 'id' in frame;
  if (era === 'modern' && direction === 'to-client' && isRequest) return [`${method}: servers send no requests`];
  const definition = revision.messages[direction].get(method);
  if (definition !== undefined) return revision.problems(definition, frame);
  const elsewhere = direction === 'to-server' ? 'to-client' : 'to-server';
  if (revision.messages[elsewhere].has(method)) return [`${method}: not sent ${direction} in ${revision.name}`];
  const other = revisions[era === 'modern' ? 'legacy' : 'modern']();
  const foreign = other.messages[direction].has(method) || other.messages[elsewhere].has(method);
  // Tasks left the revision for an extension that kept the names of their methods.
  if (foreign && !/^(notifications\/)?tasks\//.test(method)) return [`${method}: not of ${revision.name}`];
  return revision.problems(isRequest ? 'JSONRPCRequest' : 'JSONRPCNotification', frame);
}

function validateError(era: FrameEra, frame: Json): string[] {
  const revision = revisions[era]();
  if ('result' in frame) return ['both a result and an error'];
  const code = Number((frame['error'] as Json | null)?.['code']);
  return revision.problems(revision.errors.get(code) ?? 'JSONRPCErrorResponse', frame);
}

function validateResult(era: FrameEra, frame: Json, method: string | undefined): string[] {
  const revision = revisions[era]();
  const envelope = revision.problems('JSONRPCResultResponse', frame);
  if (envelope.length > 0 || method === undefined) return envelope;
  const result = frame['result'] as Json;
  const asksBack = era === 'modern' && result['resultType'] === 'input_required';
  if (asksBack && !mayAskBack.has(method)) return [`${method}: not answered with input_required`];
  // Said by the text of the revision alone, not by its schema.
  if (asksBack && !('inputRequests' in result) && !('requestState' in result)) return ['neither inputRequests nor requestState'];
  const definition = asksBack ? 'InputRequiredResult' : resultDefinition(revision, era, method, result);
  return revision.problems(definition, result).map((problem) => `${problem} (result of ${method})`);
}

function resultDefinition(revision: Revision, era: FrameEra, method: string, result: Json): string {
  if (era === 'modern' && result['resultType'] !== 'complete') return 'Result';
  if (era === 'legacy' && mayBecomeTask.has(method) && 'task' in result) return 'CreateTaskResult';
  const request = revision.messages['to-server'].get(method) ?? revision.messages['to-client'].get(method);
  // Requests without a result of their own are answered with an empty one; so are listen streams at their end.
  const own = request?.replace(/Request$/, 'Result');
  return own !== undefined && revision.has(own) ? own : 'Result';
}

function read(name: string): Revision {
  const schema = JSON.parse(readFileSync(new URL(`../schemas/mcp/${name}/schema.json`, import.meta.url), 'utf8')) as {
    $defs: Record<string, Definition>;
  };
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  formats.default(ajv, ['uri', 'uri-template', 'byte']);
  ajv.addSchema(schema, name);
  const validators = new Map<string, ValidateFunction>();
  const validator = (definition: string) => {
    const known = validators.get(definition) ?? ajv.compile({ $ref: `${name}#/$defs/${definition}` });
    validators.set(definition, known);
    return known;
  };
  const definitions = schema.$defs;
  return {
    name,
    messages: {
      'to-server': methods(definitions, ['ClientRequest', 'ClientNotification']),
      'to-client': methods(definitions, ['ServerRequest', 'ServerNotification']),
    },
    errors: errorCodes(definitions),
    has: (definition) => definition in definitions,
    problems(definition, value) {
      const validate = validator(definition);
      return validate(value) ? [] : (validate.errors ?? []).map((error) => say(definition, error));
    },
  };
}

/** Method → definition, over the members of these unions; a union of one is written as its only member. */
function methods(definitions: Readonly<Record<string, Definition>>, unions: string[]): Map<string, string> {
  const members = unions.flatMap((union) => definitions[union]?.anyOf?.map(({ $ref }) => $ref.replace('#/$defs/', '')) ?? [union]);
  return new Map(
    members.flatMap((member) => constant(definitions[member]?.properties?.['method']).map((method) => [String(method), member])),
  );
}

function errorCodes(definitions: Readonly<Record<string, Definition>>): Map<number, string> {
  const entries = Object.entries(definitions).flatMap(([name, { properties }]) => {
    const parts = properties?.['error']?.allOf ?? [];
    return parts.flatMap((part) => constant(part.properties?.['code']).map((code) => [Number(code), name] as const));
  });
  return new Map(entries);
}

const constant = (schema: { readonly const?: unknown } | undefined) => (schema?.const === undefined ? [] : [schema.const]);

function say(definition: string, { instancePath, message, params }: ErrorObject): string {
  return `${definition}${instancePath}: ${message} ${JSON.stringify(params)}`;
}

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
