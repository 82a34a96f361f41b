import { isObject, type JsonObject } from '../json-rpc.ts';

/** The revisions of the protocol without a handshake, newest first. */
export const modernRevisions: readonly string[] = ['2026-07-28'];

/** The members of `_meta` that the protocol itself writes and reads; each hop has its own. */
export const meta = {
  protocolVersion: 'io.modelcontextprotocol/protocolVersion',
  clientInfo: 'io.modelcontextprotocol/clientInfo',
  clientCapabilities: 'io.modelcontextprotocol/clientCapabilities',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  logLevel: 'io.modelcontextprotocol/logLevel',
  subscriptionId: 'io.modelcontextprotocol/subscriptionId',
} as const;

/** The error codes that revision 2026-07-28 defines. */
export const modernCode = {
  headerMismatch: -32_020,
  missingClientCapability: -32_021,
  unsupportedVersion: -32_022,
} as const;

const owned: readonly string[] = Object.values(meta);

/** The parameters or result without the protocol's own members of `_meta`; all others stay. */
export function withoutOwnedMeta<T extends JsonObject>(value: T): T {
  const given = value['_meta'];
  if (!isObject(given) || !owned.some((key) => key in given)) return value;
  const rest = Object.fromEntries(Object.entries(given).filter(([key]) => !owned.includes(key)));
  const { _meta, ...others } = value;
  return (Object.keys(rest).length === 0 ? others : { ...others, _meta: rest }) as T;
}

/** The parameters or result with these members of `_meta` beside those it has. */
export function withMeta(value: JsonObject, members: JsonObject): JsonObject {
  const given = value['_meta'];
  return { ...value, _meta: { ...(isObject(given) ? given : {}), ...members } };
}
