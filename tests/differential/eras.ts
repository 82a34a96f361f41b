type Json = Record<string, unknown>;

/** Server Features, Utilities, Caching: complete results of these say how long, and for whom, they may be kept. */
const cacheable = ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read'];

/** Base Protocol, `_meta`: a server SHOULD say in each result which software it is. */
const serverInfo = 'io.modelcontextprotocol/serverInfo';

/**
 * A result of revision 2026-07-28 without exactly those members that the revision adds, each of which must be there and well
 * formed: what is left must be what a server of the revisions before said.
 */
export function withoutAdditions(method: string, result: unknown): unknown {
  // Base Protocol, Results: every result MUST have a `resultType`
  const { resultType, ...added } = result as Json;
  if (resultType !== 'complete') throw new Error(`${method} has the resultType ${JSON.stringify(resultType)}`);
  return withoutCaching(method, withoutServerInfo(method, added));
}

/** The same of what the client library hands to its caller: it has taken the `resultType` off. */
export function withoutAdditionsGiven(method: string, result: unknown): unknown {
  return withoutCaching(method, withoutServerInfo(method, result as Json));
}

function withoutServerInfo(method: string, { _meta, ...rest }: Json): Json {
  const { [serverInfo]: info, ...others } = (_meta ?? {}) as Json;
  if (typeof (info as { name?: unknown } | undefined)?.name !== 'string') throw new Error(`${method} does not say who answers`);
  return Object.keys(others).length === 0 ? rest : { ...rest, _meta: others };
}

function withoutCaching(method: string, result: Json): Json {
  if (!cacheable.includes(method)) return result;
  const { ttlMs, cacheScope, ...rest } = result;
  if (typeof ttlMs !== 'number' || (cacheScope !== 'private' && cacheScope !== 'public')) {
    throw new Error(`${method} does not say how long and for whom it may be kept`);
  }
  return rest;
}
