import type { Dimensions } from '../scope.ts';
import type { Connection, SqlValue, Statement } from './file.ts';

/** The dimensions in the order in which every statement takes them, as its parameters ?1 to ?7. */
const names = ['org', 'tenant', 'project', 'user', 'key', 'model', 'tool'] as const satisfies readonly (keyof Dimensions)[];

/** Their columns. */
export const dimensionColumns = names.join(', ');

/** A row of a table of calls or counters has just these dimensions. */
export const exactly = names.map((name, index) => `${name} = ?${index + 1}`).join(' AND ');

/** Rows of a table of calls that a window or query with these dimensions covers. */
export const covered = names.map((name, index) => `?${index + 1} IN ('', ${name})`).join(' AND ');

/** Counters that cover a call with these dimensions; written with IN so that the tenant is looked up by the primary key. */
export const covering = names.map((name, index) => `${name} IN ('', ?${index + 1})`).join(' AND ');

/** The values of the parameters ?1 to ?7. */
export function dimensionValues(dimensions: Dimensions): SqlValue[] {
  return names.map((name) => dimensions[name]);
}

/** The dimensions of a row. */
export function dimensionsIn(record: Record<keyof Dimensions, string>): Dimensions {
  const { org, tenant, project, user, key, model, tool } = record;
  return { org, tenant, project, user, key, model, tool };
}

/** So many parameters. */
export function marks(count: number): string {
  return Array.from({ length: count }, () => '?').join(', ');
}

/** Statements prepared once, all integers read as bigint: a sum that overflows 64 bits is an error, never a drift. */
export function prepareAll<Name extends string>(connection: Connection, sql: Readonly<Record<Name, string>>): Record<Name, Statement> {
  const prepared = Object.entries<string>(sql).map(([name, text]) => {
    const statement = connection.prepare(text);
    statement.setReadBigInts(true);
    return [name, statement] as const;
  });
  return Object.fromEntries(prepared) as Record<Name, Statement>;
}
