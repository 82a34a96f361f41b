import type { Dimension, Dimensions } from '../scope.ts';

/** Column of each dimension in the table `value_metric`, in the order in which statements take them. */
export const dimensionColumns = {
  org: 'org_id',
  tenant: 'tenant_id',
  project: 'project_id',
  user: 'user_id',
  key: 'key_id',
  model: 'model',
  tool: 'tool',
} as const satisfies Record<Dimension, string>;

const DIMENSIONS = Object.keys(dimensionColumns) as Dimension[];

/** All columns in the order in which they are inserted. */
export const valueColumns = ['dedupe_key', 'name', 'category', 'value', 'unit', 'timestamp', 'context', ...Object.values(dimensionColumns)];

/** The dimensions that are named. A statement speaks of these alone: one that asked for all could not be answered by an index. */
export function namedDimensions(dimensions: Dimensions): Dimension[] {
  return DIMENSIONS.filter((dimension) => dimensions[dimension] !== '');
}

/** The values of the dimensions in the order of their columns. */
export function dimensionValues(dimensions: Dimensions): string[] {
  return DIMENSIONS.map((dimension) => dimensions[dimension]);
}
