import vm from 'node:vm';
import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { asText, isObject, type JsonObject } from './json-rpc.ts';

/** What comes of checking the arguments of a tool. */
export type Verdict =
  | { readonly kind: 'fit' }
  /** `problem` names the place by its JSON pointer. */
  | { readonly kind: 'unfit'; readonly problem: string }
  /** The schema cannot be used: the server itself has to say what it takes. */
  | { readonly kind: 'unchecked'; readonly reason: string };

/** How large a schema may be, in characters of JSON, and how long one check may take, in ms. */
const bounds = { schema: 256 * 1024, checkMs: 100, kept: 2_000 };

const options: Options = {
  strict: false, // keywords that JSON Schema does not know are annotations
  validateFormats: false, // an annotation too, since 2019-09
  unicodeRegExp: false, // many servers write patterns that only the older syntax knows
  addUsedSchema: false, // no schema can refer to that of another tool, nor take its name
  logger: false,
};

/** One compiler a dialect, made when a tool first needs it. The protocol's default is 2020-12. */
const compilers = new Map<string, () => Ajv>([
  ['https://json-schema.org/draft/2020-12/schema', once(() => new Ajv2020(options))],
  ['https://json-schema.org/draft/2019-09/schema', once(() => new Ajv2019(options))],
  ['http://json-schema.org/draft-07/schema', once(() => new Ajv(options))],
]);
const defaultDialect = 'https://json-schema.org/draft/2020-12/schema';

/** Keywords by which the time of a check can grow faster than the arguments do: backtracking, comparing all with all, recursion. */
const mayTakeLong = /"(?:pattern|patternProperties|uniqueItems|\$ref|\$dynamicRef|\$recursiveRef)"/;

type Check = (args: unknown) => Verdict;

/** Checks arguments against the schemas of tools, each compiled once. Nothing is fetched: a reference to the network is not followed. */
export class ArgumentsCheck {
  readonly #ofTool = new WeakMap<JsonObject, Check>();
  readonly #bySchema = new Map<string, Check>();

  /** Checks `args` against the `inputSchema` of what a server says of a tool. */
  verdict(offered: JsonObject, args: unknown): Verdict {
    let check = this.#ofTool.get(offered);
    if (check === undefined) {
      check = this.#checkOf(offered['inputSchema']);
      this.#ofTool.set(offered, check);
    }
    return check(args);
  }

  #checkOf(schema: unknown): Check {
    const text = JSON.stringify(schema) ?? '';
    const known = this.#bySchema.get(text);
    if (known !== undefined) return known;
    const check = checkOf(schema, text);
    this.#bySchema.set(text, check);
    const [oldest] = this.#bySchema.keys();
    if (oldest !== undefined && this.#bySchema.size > bounds.kept) this.#bySchema.delete(oldest);
    return check;
  }
}

function checkOf(schema: unknown, text: string): Check {
  if (text === '') return () => ({ kind: 'fit' }); // a tool of which nothing is known
  if (text.length > bounds.schema) return unchecked(`its inputSchema is longer than ${bounds.schema} characters`);
  let validate: ValidateFunction;
  try {
    validate = compiled(schema as JsonObject);
  } catch (error) {
    return unchecked(`its inputSchema cannot be used: ${(error as Error).message}`);
  }
  const check: Check = (args) =>
    validate(args) || validate(withoutNulls(args)) ? { kind: 'fit' } : { kind: 'unfit', problem: inWords(validate.errors ?? []) };
  return mayTakeLong.test(text) ? bounded(check) : check;
}

/** Arguments that are null count as left out, as they do for the protocol's own headers (2026-07-28, transports); many models write them so. */
function withoutNulls(args: unknown): unknown {
  return isObject(args) ? Object.fromEntries(Object.entries(args).filter(([, value]) => value !== null)) : args;
}

function compiled(schema: JsonObject): ValidateFunction {
  const dialect = asText(schema['$schema'] ?? defaultDialect).replace(/#$/, '');
  const compiler = compilers.get(dialect)?.();
  if (compiler === undefined) throw new Error(`its dialect ${dialect} is not known here`);
  const validate = compiler.compile(schema);
  compiler.removeSchema(schema); // or else the compiler would keep every schema it has seen
  return validate;
}

/** Ends a check whose time is over, and makes none after it: neither the server's schema nor its client may hold up the others. */
function bounded(check: Check): Check {
  const context = vm.createContext({ check: undefined as unknown });
  const script = new vm.Script('check()');
  let tooSlow = false;
  return (args) => {
    if (tooSlow) return { kind: 'unchecked', reason: `its inputSchema took longer than ${bounds.checkMs} ms to check` };
    context['check'] = () => check(args);
    try {
      for (let tries = 1; ; tries += 1) {
        const began = process.cpuUsage();
        const verdict = inTime(script, context);
        if (verdict !== undefined) return verdict;
        if (tries < mostTries && stoodStill(began)) continue;
        tooSlow = true;
        return { kind: 'unfit', problem: `could not be checked within ${bounds.checkMs} ms` };
      }
    } finally {
      context['check'] = undefined;
    }
  };
}

/** So often a check is made that ran out of time while the process was not given any. */
const mostTries = 4;

function inTime(script: vm.Script, context: vm.Context): Verdict | undefined {
  try {
    return script.runInContext(context, { timeout: bounds.checkMs }) as Verdict;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined;
    throw error;
  }
}

/** Whether it was the machine that was busy and not the check: the timeout is by the clock on the wall. */
function stoodStill(began: NodeJS.CpuUsage): boolean {
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1_000 < bounds.checkMs / 2;
}

/** The first things that are wrong, with their places. */
function inWords(errors: readonly ErrorObject[]): string {
  return [...new Set(errors.map(inWord))].slice(0, 3).join('; ');
}

function inWord({ instancePath, message = 'does not fit', params }: ErrorObject): string {
  const { allowedValues, additionalProperty, unevaluatedProperty, allowedValue } = params as Record<string, unknown>;
  const extra = additionalProperty ?? unevaluatedProperty;
  const what =
    (Array.isArray(allowedValues) && `must be one of ${allowedValues.slice(0, 10).map(short).join(', ')}`) ||
    (extra !== undefined && `must not have ${short(extra)}`) ||
    (allowedValue !== undefined && `must be ${short(allowedValue)}`) ||
    message;
  return `'${instancePath}' ${what}`;
}

function short(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

function unchecked(reason: string): Check {
  return () => ({ kind: 'unchecked', reason });
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
