import type { CallKind } from './call.ts';
import type { CatalogReader, Located } from './catalog.ts';
import { isObject, type JsonObject } from './json-rpc.ts';

/** The parameters of a request are not what its method takes. */
export class InvalidParams extends Error {}

/** What a request is about. */
export interface Target {
  readonly kind: CallKind;
  readonly name: string;
  readonly find: (catalog: CatalogReader) => Located | undefined;
}

/** Reads what a request is about. Throws {@link InvalidParams}. */
export function target(method: string, params: JsonObject): Target {
  switch (method) {
    case 'tools/call': {
      const name = text(params, 'name');
      if (params['arguments'] !== undefined && !isObject(params['arguments'])) throw new InvalidParams("'arguments' must be an object");
      return { kind: 'tool', name, find: (catalog) => catalog.tool(name) };
    }
    case 'prompts/get': {
      const name = text(params, 'name');
      return { kind: 'prompt', name, find: (catalog) => catalog.prompt(name) };
    }
    case 'resources/read': {
      const name = text(params, 'uri');
      return { kind: 'resource', name, find: (catalog) => catalog.resource(name) };
    }
    default: {
      const ref = params['ref'];
      if (!isObject(ref)) throw new InvalidParams("'ref' must be an object");
      if (ref['type'] === 'ref/prompt') {
        const name = text(ref, 'name');
        return { kind: 'completion', name, find: (catalog) => catalog.prompt(name) };
      }
      const name = text(ref, 'uri');
      return { kind: 'completion', name, find: (catalog) => catalog.template(name) ?? catalog.resource(name) };
    }
  }
}

/** The gateway offers older clients no tasks; who does not is to take a call with a wish for one as a plain one (2025-11-25, tasks). */
export function withoutTask({ task, ...params }: JsonObject): JsonObject {
  return params;
}

/** The parameters with the server's own name in place of the client's. */
export function renamed(method: string, params: JsonObject, name: string): JsonObject {
  if (method === 'tools/call' || method === 'prompts/get') return { ...params, name };
  const ref = params['ref'];
  return isObject(ref) && ref['type'] === 'ref/prompt' ? { ...params, ref: { ...ref, name } } : params;
}

function text(params: JsonObject, member: string): string {
  const value = params[member];
  if (typeof value !== 'string') throw new InvalidParams(`'${member}' must be a string`);
  return value;
}
