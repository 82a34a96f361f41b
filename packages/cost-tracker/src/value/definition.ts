import { checkKeys, checkNumber, checkOneOf, checkText } from '../options.ts';
import { MAX_VALUE } from './billionths.ts';

/** What a metric tells of. */
export type MetricCategory = 'efficiency' | 'quality' | 'adoption' | 'cost';

/** Which way a metric is better. */
export type MetricDirection = 'higher_better' | 'lower_better';

/** How the values of a time become one: the 95th percentile is the smallest value that 95 % of the values do not exceed. */
export type MetricAggregation = 'sum' | 'avg' | 'count' | 'p95';

/** What a metric means. */
export interface MetricDefinition {
  /** Name in records, summaries and addresses: a letter and up to 99 letters, digits, `_`, `.` and `-`. */
  readonly name: string;
  /** Where it stands in the summary. */
  readonly category: MetricCategory;
  /** What is measured, in a sentence. */
  readonly description: string;
  /** Unit of its values and target. */
  readonly unit: string;
  /** What is to be reached, in the unit: −10¹² to 10¹². */
  readonly targetValue: number;
  /** Whether the target is the least or the most that is good. */
  readonly direction: MetricDirection;
  /** How values become one. */
  readonly aggregation: MetricAggregation;
}

/** The categories in the order of the summary. */
export const metricCategories: readonly MetricCategory[] = ['efficiency', 'quality', 'adoption', 'cost'];

const DIRECTIONS = ['higher_better', 'lower_better'] as const;
const AGGREGATIONS = ['sum', 'avg', 'count', 'p95'] as const;
const KEYS = ['name', 'category', 'description', 'unit', 'targetValue', 'direction', 'aggregation'];
const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,99}$/;

/** The ten metrics that are always there. */
export const builtInDefinitions: readonly MetricDefinition[] = Object.freeze(
  [
    higher('report_generation_time_saved', 'efficiency', 'Time saved by generating a report', 'minutes', 30, 'sum'),
    higher('planning_time_saved', 'efficiency', 'Time saved in planning', 'minutes', 60, 'sum'),
    higher('issue_detection_rate', 'quality', 'Share of issues that were detected', 'percent', 95, 'avg'),
    lower('false_positive_rate', 'quality', 'Share of detected issues that were none', 'percent', 5, 'avg'),
    higher('traceability_score', 'quality', 'Share of artefacts that are traced', 'percent', 95, 'avg'),
    higher('response_adoption_rate', 'adoption', 'Share of responses that were adopted', 'percent', 70, 'avg'),
    lower('human_intervention_rate', 'adoption', 'Share of responses that a person had to correct', 'percent', 20, 'avg'),
    lower('escalation_rate', 'adoption', 'Share of requests that were handed on to a person', 'percent', 15, 'avg'),
    lower('cost_per_report', 'cost', 'Cost of a generated report', 'USD', 0.5, 'avg'),
    higher('token_efficiency', 'cost', 'Quality score per 1 000 tokens', 'score', 0.8, 'avg'),
  ].map((definition) => Object.freeze(definition)),
);

function higher(...[name, category, description, unit, targetValue, aggregation]: Row): MetricDefinition {
  return { name, category, description, unit, targetValue, direction: 'higher_better', aggregation };
}

function lower(...row: Row): MetricDefinition {
  return { ...higher(...row), direction: 'lower_better' };
}

type Row = [name: string, category: MetricCategory, description: string, unit: string, targetValue: number, aggregation: MetricAggregation];

/** The built-in definitions and those given, which take the place of a built-in one of the same name. */
export function readDefinitions(given: readonly MetricDefinition[]): ReadonlyMap<string, MetricDefinition> {
  if (!Array.isArray(given)) throw new RangeError(`definitions must be an array, not ${String(given)}`);
  const own = new Map<string, MetricDefinition>();
  given.forEach((definition: MetricDefinition, index) => {
    const checked = checkDefinition(definition, `definitions[${index}]`);
    if (own.has(checked.name)) throw new RangeError(`definitions[${index}].name '${checked.name}' is already taken`);
    own.set(checked.name, checked);
  });
  return new Map([...builtInDefinitions.map((each) => [each.name, each] as const), ...own]);
}

/** Checks one definition and copies it. */
export function checkDefinition(definition: MetricDefinition, name: string): MetricDefinition {
  checkKeys(definition, KEYS, name);
  return Object.freeze({
    name: checkName(definition.name, `${name}.name`),
    category: checkOneOf(definition.category, metricCategories, `${name}.category`),
    description: checkText(definition.description, `${name}.description`),
    unit: checkText(definition.unit, `${name}.unit`),
    targetValue: checkNumber(definition.targetValue, -MAX_VALUE, MAX_VALUE, `${name}.targetValue`),
    direction: checkOneOf(definition.direction, DIRECTIONS, `${name}.direction`),
    aggregation: checkOneOf(definition.aggregation, AGGREGATIONS, `${name}.aggregation`),
  });
}

function checkName(value: unknown, name: string): string {
  const text = checkText(value, name);
  if (NAME.test(text)) return text;
  throw new RangeError(`${name} must be a letter and up to 99 letters, digits, '_', '.' and '-', not ${JSON.stringify(text)}`);
}
