import type { Dimensions } from '../scope.ts';
import { restored, storable } from './text.ts';

/** The dimensions in the order of the columns. */
const names = ['org', 'tenant', 'project', 'user', 'key', 'model', 'tool'] as const satisfies readonly (keyof Dimensions)[];

/** A list of the dimensions' columns, of one table where it is named; quoted, because `user` is a word of SQL. */
export function dimensionColumns(table?: string): string {
  return names.map((name) => (table === undefined ? `"${name}"` : `${table}."${name}"`)).join(', ');
}

/** The dimensions that are named, as conditions on a table for its indexes and statistics; their values are the parameters from `first` on. */
export function conditions(dimensions: Dimensions, table: string, first: number): { readonly sql: string; readonly values: string[] } {
  const named = names.filter((name) => dimensions[name] !== '');
  return {
    sql: named.map((name, index) => ` AND ${table}."${name}" = $${first + index}`).join(''),
    values: named.map((name) => storable(dimensions[name])),
  };
}

/** The dimensions' columns as `json_to_recordset` takes them. */
export const dimensionFields = names.map((name) => `"${name}" text`).join(', ');

/** Two tables have the same dimensions. */
export function same(a: string, b: string): string {
  return names.map((name) => `${a}."${name}" = ${b}."${name}"`).join(' AND ');
}

/** What `wide` names, `narrow` has; by IN and not by OR, so that `wide` can be looked up by its index. */
export function covers(wide: string, narrow: string): string {
  return names.map((name) => `${wide}."${name}" IN ('', ${narrow}."${name}")`).join(' AND ');
}

/** The dimensions as a record of the database. */
export type DimensionRecord = Record<keyof Dimensions, string>;

/** Dimensions on the way into the database. */
export function dimensionRecord(dimensions: Dimensions): DimensionRecord {
  const { org, tenant, project, user, key, model, tool } = dimensions;
  return {
    ...{ org: storable(org), tenant: storable(tenant), project: storable(project), user: storable(user) },
    ...{ key: storable(key), model: storable(model), tool: storable(tool) },
  };
}

/** Dimensions on the way out. */
export function dimensionsIn(record: DimensionRecord): Dimensions {
  const { org, tenant, project, user, key, model, tool } = record;
  return {
    ...{ org: restored(org), tenant: restored(tenant), project: restored(project), user: restored(user) },
    ...{ key: restored(key), model: restored(model), tool: restored(tool) },
  };
}
