import type { CatalogView } from './catalog.ts';
import { isObject, type JsonObject } from './json-rpc.ts';

/** The most entries of one page of a list. */
const pageSize = 1_000;

const keys = { tools: 'name', prompts: 'name', resources: 'uri', resourceTemplates: 'uriTemplate' } as const;

/** One page of a list. */
export interface Page {
  readonly entries: readonly JsonObject[];
  readonly nextCursor?: string;
}

/**
 * The page of a list that a cursor stands for; undefined for a cursor that is none. A cursor names the entry after which to go on,
 * not a number, so that a list that has grown meanwhile is neither cut nor repeated; of a list that has lost that entry there is
 * no next page, and the client begins again.
 */
export function pageOf(view: CatalogView, member: keyof CatalogView, cursor: unknown): Page | undefined {
  const list = view[member];
  const from = cursor === undefined ? 0 : startOf(list, member, cursor);
  if (from === undefined) return undefined;
  const entries = from === 0 && list.length <= pageSize ? list : list.slice(from, from + pageSize);
  const last = entries.at(-1)?.[keys[member]];
  return { entries, ...(from + pageSize < list.length && { nextCursor: cursorAfter(member, last) }) };
}

function cursorAfter(member: string, last: unknown): string {
  return Buffer.from(JSON.stringify({ list: member, after: last })).toString('base64url');
}

function startOf(list: readonly JsonObject[], member: keyof CatalogView, cursor: unknown): number | undefined {
  if (typeof cursor !== 'string') return undefined;
  let read: unknown;
  try {
    read = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isObject(read) || read['list'] !== member) return undefined;
  const index = list.findIndex((entry) => entry[keys[member]] === read['after']);
  return index < 0 ? undefined : index + 1;
}
