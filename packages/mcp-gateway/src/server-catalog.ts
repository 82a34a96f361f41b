import { isObject, type JsonObject, type RpcError, rpcCode } from './json-rpc.ts';
import { UpstreamError } from './upstream-error.ts';
import type { Connection } from './wire/connection.ts';

/** What one server offers, in its own words and order. */
export interface ServerCatalog {
  readonly tools: readonly JsonObject[];
  readonly resources: readonly JsonObject[];
  readonly resourceTemplates: readonly JsonObject[];
  readonly prompts: readonly JsonObject[];
}

/** A server that offers nothing, or of which nothing is known yet. */
export const emptyCatalog: ServerCatalog = { tools: [], resources: [], resourceTemplates: [], prompts: [] };

/** The most entries of one list; a server that has more, or pages for ever, is cut off with an error. */
const mostEntries = 20_000;

const lists = [
  { member: 'tools', method: 'tools/list', capability: 'tools', key: 'name' },
  { member: 'resources', method: 'resources/list', capability: 'resources', key: 'uri' },
  { member: 'resourceTemplates', method: 'resources/templates/list', capability: 'resources', key: 'uriTemplate' },
  { member: 'prompts', method: 'prompts/list', capability: 'prompts', key: 'name' },
] as const;

/** Asks a server for everything that it says it has. A list that it fails to give is as it was known. */
export async function loadCatalog(
  server: string,
  connection: Connection,
  signal: AbortSignal,
  known: ServerCatalog = emptyCatalog,
): Promise<ServerCatalog> {
  const { capabilities } = connection.description;
  const loaded = await Promise.all(
    lists.map(async ({ member, method, capability, key }) => {
      const entries =
        capabilities[capability] === undefined
          ? []
          : await allPages(server, connection, { member, method, key, signal, known: known[member] });
      return [member, entries] as const;
    }),
  );
  return { ...emptyCatalog, ...Object.fromEntries(loaded) };
}

async function allPages(
  server: string,
  connection: Connection,
  {
    member,
    method,
    key,
    signal,
    known,
  }: { member: string; method: string; key: string; signal: AbortSignal; known: readonly JsonObject[] },
): Promise<readonly JsonObject[]> {
  const entries: JsonObject[] = [];
  const seen = new Set<unknown>();
  let cursor: unknown;
  do {
    const answer = await connection.request(method, cursor === undefined ? {} : { cursor }, { signal });
    if ('error' in answer) return unlisted(answer.error, known);
    const page = answer.result[member];
    if (!Array.isArray(page)) throw broken(server, `answered ${method} without a list '${member}'`);
    entries.push(...page.filter((entry) => isObject(entry) && typeof entry[key] === 'string'));
    seen.add(cursor);
    cursor = answer.result['nextCursor'];
    if (entries.length > mostEntries || seen.size > mostEntries || (cursor !== undefined && seen.has(cursor)))
      throw broken(server, `answers ${method} without end`);
  } while (cursor !== undefined);
  return entries;
}

/** A server may have resources and no templates; any other error leaves what was known. */
function unlisted({ code }: RpcError, known: readonly JsonObject[]): readonly JsonObject[] {
  return code === rpcCode.methodNotFound ? [] : known;
}

function broken(server: string, problem: string): UpstreamError {
  return new UpstreamError(server, problem, { carriedOut: 'no', code: 'ERR_UPSTREAM_PROTOCOL' });
}
