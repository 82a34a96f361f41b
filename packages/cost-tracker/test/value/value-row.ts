import type { Dimensions } from '../../src/scope.ts';
import type { ValueRow } from '../../src/value.ts';

export const nobody: Dimensions = { org: '', tenant: '', project: '', user: '', key: '', model: '', tool: '' };

let keys = 0;

/** A row with a key of its own. */
export function rowOf(
  at: number,
  value: number,
  more: Partial<Omit<ValueRow, 'dimensions'>> & { scope?: Partial<Dimensions> } = {},
): ValueRow {
  const { scope, ...rest } = more;
  return {
    dedupeKey: `key-${keys++}`,
    name: 'planning_time_saved',
    category: 'efficiency',
    value,
    unit: 'minutes',
    at,
    dimensions: { ...nobody, ...scope },
    context: '{}',
    ...rest,
  };
}
