import { asText, isObject, type JsonObject } from '../json-rpc.ts';
import { taskMethods } from '../tasks.ts';

const encodedForm = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/;
const looksEncoded = /^=\?base64\?.*\?=$/;
const plain = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/;

/** A value as a header carries it: as it is where that is safe, else in the protocol's base64 form. */
export function encodeHeader(value: string): string {
  if (value === '' || (plain.test(value) && !looksEncoded.test(value))) return value;
  return `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`;
}

/** What a header carries; undefined where its base64 form is broken. */
export function decodeHeader(value: string): string | undefined {
  if (!looksEncoded.test(value)) return value;
  const base64 = encodedForm.exec(value)?.[1];
  if (base64 === undefined || base64.length % 4 !== 0) return undefined;
  const bytes = Buffer.from(base64, 'base64');
  const text = bytes.toString('utf8');
  return bytes.toString('base64') === base64 && Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}

/** Which member of a request's parameters the header `Mcp-Name` repeats. */
export function nameMember(method: string): 'name' | 'uri' | 'taskId' | undefined {
  if (method === 'tools/call' || method === 'prompts/get') return 'name';
  if (taskMethods.includes(method)) return 'taskId';
  return method === 'resources/read' ? 'uri' : undefined;
}

/** A parameter of a tool that its calls repeat in the header `Mcp-Param-<header>`. */
export interface ParameterHeader {
  readonly header: string;
  /** The members that lead to it. */
  readonly path: readonly string[];
}

/** What is wrong with a tool's `x-mcp-header` annotations; such a tool is not offered over HTTP. */
export class BadAnnotation extends Error {}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const primitives = ['string', 'integer', 'boolean'];

/** The parameters of a tool that are repeated in headers. Throws {@link BadAnnotation}. */
export function parameterHeaders(inputSchema: unknown): readonly ParameterHeader[] {
  const found: ParameterHeader[] = [];
  collect(inputSchema, [], true, found);
  const names = new Set(found.map(({ header }) => header.toLowerCase()));
  if (names.size < found.length) throw new BadAnnotation('two parameters have the same x-mcp-header');
  return found;
}

/** Keywords whose values are data, not schemas. */
const data = ['default', 'const', 'enum', 'examples'];

/** Walks a schema; `reachable` while only `properties` has been gone through. */
function collect(schema: unknown, path: readonly string[], reachable: boolean, found: ParameterHeader[]): void {
  if (typeof schema !== 'object' || schema === null) return;
  if ('x-mcp-header' in schema) found.push(annotation(schema as JsonObject, path, reachable));
  for (const [keyword, part] of Object.entries(schema)) {
    if (keyword !== 'properties') {
      if (!data.includes(keyword)) collect(part, path, false, found);
      continue;
    }
    for (const [name, property] of Object.entries((part ?? {}) as JsonObject)) collect(property, [...path, name], reachable, found);
  }
}

function annotation(schema: JsonObject, path: readonly string[], reachable: boolean): ParameterHeader {
  const header = schema['x-mcp-header'];
  const where = `/${path.join('/')}`;
  if (typeof header !== 'string' || !token.test(header)) throw new BadAnnotation(`x-mcp-header of ${where} is not a header name`);
  if (!reachable || path.length === 0) throw new BadAnnotation(`x-mcp-header of ${where} cannot be reached through properties alone`);
  if (!primitives.includes(asText(schema['type'])))
    throw new BadAnnotation(`x-mcp-header of ${where} is not on a string, integer or boolean`);
  return { header, path };
}

/** The headers that a call of a tool repeats its parameters in. */
export function parameterValues(headers: readonly ParameterHeader[], args: unknown): Readonly<Record<string, string>> {
  const values: Record<string, string> = {};
  for (const { header, path } of headers) {
    const value = path.reduce<unknown>((inside, member) => (isObject(inside) ? inside[member] : undefined), args);
    if (value !== undefined && value !== null) values[`mcp-param-${header.toLowerCase()}`] = encodeHeader(asText(value));
  }
  return values;
}
