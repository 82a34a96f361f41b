import { checkKeys, checkText } from './options.ts';

const DIMENSIONS: readonly Dimension[] = ['org', 'tenant', 'project', 'user', 'key', 'model', 'tool'];

const CALL_KEYS = [...DIMENSIONS.filter((dimension) => dimension !== 'tool'), 'traceId'];

/** What a budget can be limited to. */
export type Dimension = keyof BudgetScope;

/** Whose spend a budget limits: every dimension named must equal the call's. At least one is named. */
export interface BudgetScope {
  /** Organisation. */
  org?: string | undefined;
  /** Tenant. */
  tenant?: string | undefined;
  /** Project. */
  project?: string | undefined;
  /** User. */
  user?: string | undefined;
  /** Id of the API key, never the key itself. */
  key?: string | undefined;
  /** Model name. */
  model?: string | undefined;
  /** Tool name, as it is given to `reserve`. */
  tool?: string | undefined;
}

/** On whose behalf a call is made. */
export interface CallScope {
  /** Organisation. */
  org?: string | undefined;
  /** Tenant. */
  tenant?: string | undefined;
  /** Project. */
  project?: string | undefined;
  /** User. */
  user?: string | undefined;
  /** Id of the API key, never the key itself. */
  key?: string | undefined;
  /** Model name. */
  model?: string | undefined;
  /** Trace the call belongs to; recorded, never matched by a budget. */
  traceId?: string | undefined;
}

/** A value for every dimension. The empty string means "any" in a budget or a query, and "none" in a call. */
export type Dimensions = Readonly<Record<Dimension, string>>;

/** Reads the scope of a budget or a query; unknown keys and empty values are refused. */
export function dimensionsOf(scope: BudgetScope, name: string): Dimensions {
  return fill(readScope(scope, DIMENSIONS, name));
}

/** Lays the dimensions of a call together; the tool comes from the call itself. */
export function callDimensions(scope: CallScope, tool: string): Dimensions {
  return { ...fill(scope), tool };
}

/** Checks a call scope and lays it over the one around it; a value that is undefined hides nothing. */
export function mergeScopes(outer: CallScope, inner: CallScope, name: string): CallScope {
  return { ...outer, ...readScope(inner, CALL_KEYS, name) };
}

/** Whether everything `wanted` names is the same in `actual`. */
export function covers(wanted: Dimensions, actual: Dimensions): boolean {
  return DIMENSIONS.every((dimension) => wanted[dimension] === '' || wanted[dimension] === actual[dimension]);
}

function readScope(scope: object, keys: readonly string[], name: string): Record<string, string> {
  checkKeys(scope, keys, name);
  const defined = Object.entries(scope).filter(([, value]) => value !== undefined);
  return Object.fromEntries(defined.map(([key, value]) => [key, checkText(value, `${name}.${key}`)]));
}

function fill(scope: BudgetScope): Dimensions {
  const { org = '', tenant = '', project = '', user = '', key = '', model = '', tool = '' } = scope;
  return { org, tenant, project, user, key, model, tool };
}
