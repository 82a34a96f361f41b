import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree, printParseErrorCode, stripComments } from 'jsonc-parser';
import type { z } from 'zod';
import { ConfigError, type ConfigProblem, pointerOf } from './config-error.ts';
import { configSchema, serverSchema } from './config-schema.ts';
import type { GatewayConfig, ServerConfig } from './gateway-config.ts';

/** Something wrong at a place of a configuration. */
export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** Where in the text, where the path alone does not say. */
  readonly offset?: number;
}

/** A configuration of the right shape, with `${env:NAME}` looked up and paths made absolute. */
export interface CheckedConfig {
  readonly config: GatewayConfig & { readonly dataDir: string };
  /** The error that tells where in this configuration these problems are. */
  readonly error: (problems: readonly Problem[]) => ConfigError;
}

/**
 * Reads a configuration file: JSON with comments.
 *
 * @throws {@link ConfigError} with file, line, column and JSON pointer of everything that is wrong.
 */
export async function readConfigFile(file: string, env: NodeJS.ProcessEnv = process.env): Promise<CheckedConfig> {
  const path = resolve(file);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError([{ pointer: '', message: error.code === 'ENOENT' ? 'there is no such file' : error.message }], file);
  });
  const source = text.replace(/^\uFEFF/, '');
  const errors: ParseError[] = [];
  const tree = parseTree(source, errors, { allowTrailingComma: true });
  const positioned = (offset: number, pointer: string, message: string): ConfigProblem => ({
    pointer,
    message,
    ...positionOf(source, offset),
  });
  if (errors.length > 0 || tree === undefined) {
    throw new ConfigError(
      stripComments(source).trim() === ''
        ? [positioned(0, '', 'the file is empty; expected a JSON object')]
        : errors.map(({ error, offset }) => positioned(offset, '', `not JSON: ${printParseErrorCode(error)}`)),
      file,
    );
  }
  const error = (problems: readonly Problem[]) =>
    new ConfigError(
      problems.map((problem) => positioned(problem.offset ?? offsetOf(tree, problem.path), pointerOf(problem.path), problem.message)),
      file,
    );
  const problems = duplicates(tree);
  const config = check(getNodeValue(tree), dirname(path), env, problems);
  if (config === undefined) throw error(problems);
  return { config, error };
}

/**
 * Checks a configuration object. Relative paths are relative to `folder`.
 *
 * @throws {@link ConfigError} with the JSON pointer of everything that is wrong.
 */
export function checkConfig(value: unknown, folder: string = process.cwd(), env: NodeJS.ProcessEnv = process.env): CheckedConfig {
  const error = (problems: readonly Problem[]) =>
    new ConfigError(problems.map(({ path, message }) => ({ pointer: pointerOf(path), message })));
  const problems: Problem[] = [];
  const config = check(value, folder, env, problems);
  if (config === undefined) throw error(problems);
  return { config, error };
}

function check(value: unknown, folder: string, env: NodeJS.ProcessEnv, problems: Problem[]): CheckedConfig['config'] | undefined {
  const expanded = expand(value, [], env, problems);
  const parsed = configSchema.safeParse(expanded);
  problems.push(...problemsOf(parsed, []));
  const mcpServers = checkServers((expanded as { mcpServers?: unknown } | null)?.mcpServers, folder, problems);
  if (!parsed.success || problems.length > 0) return undefined;
  return { ...parsed.data, mcpServers, dataDir: resolve(folder, parsed.data.dataDir ?? '.tidegate') };
}

function checkServers(given: unknown, folder: string, problems: Problem[]): Record<string, ServerConfig> {
  const servers: Record<string, ServerConfig> = {};
  if (typeof given !== 'object' || given === null) return servers;
  for (const [name, server] of Object.entries(given)) {
    const result = serverSchema(server).safeParse(server);
    problems.push(...problemsOf(result, ['mcpServers', name]));
    if (!result.success) continue;
    servers[name] = 'command' in result.data ? { ...result.data, cwd: resolve(folder, result.data.cwd ?? '.') } : result.data;
  }
  return servers;
}

/** Puts environment variables in the place of `${env:NAME}`. Other `${…}` are an editor's and mean nothing here. */
function expand(value: unknown, path: readonly PropertyKey[], env: NodeJS.ProcessEnv, problems: Problem[]): unknown {
  if (Array.isArray(value)) return value.map((entry, index) => expand(entry, [...path, index], env, problems));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, expand(entry, [...path, key], env, problems)]));
  }
  if (typeof value !== 'string') return value;
  return value.replace(/\$\{([^}]*)\}/g, (whole, inside: string) => {
    const name = /^env:([A-Za-z_][A-Za-z0-9_]*)$/.exec(inside)?.[1];
    const known = name === undefined ? undefined : env[name];
    if (known !== undefined && known !== '') return known;
    const why =
      name === undefined
        ? `is not known here; an environment variable is written ${'$'}{env:NAME}`
        : 'names an environment variable that is not set';
    problems.push({ path, message: `${whole} ${why}` });
    return whole;
  });
}

/** What the packages call a part of the configuration, where they call it something else. */
const partOf: Readonly<Record<string, string>> = { toolPrices: 'prices' };

/** A package's word on one of its options, such as `budgets[0].limitUsd must be above 0`, as a problem of that place; or else of `part`. */
export function problemOf(part: string, message: string): Problem {
  const [, option = '', members = '', what = ''] = /^(\w+)((?:\.\w+|\[\d+\]|\['.*?'\])+) (.*)$/s.exec(message) ?? [];
  if (option === '') return { path: [part], message };
  const path = [...members.matchAll(/\.(\w+)|\[(\d+)\]|\['(.*?)'\]/g)].map(([, member, index, quoted]) =>
    index === undefined ? (member ?? quoted ?? '') : Number(index),
  );
  return { path: [partOf[option] ?? option, ...path], message: what };
}

function problemsOf(result: z.ZodSafeParseResult<unknown>, at: readonly PropertyKey[]): Problem[] {
  if (result.success) return [];
  return result.error.issues.flatMap((issue): Problem[] => {
    const path = [...at, ...issue.path];
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ path: [...path, key], message: `unknown option '${key}'` }));
    if (issue.code === 'invalid_key') return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    return [{ path, message: plain(issue.message) }];
  });
}

function plain(message: string): string {
  return message.replace(/^Invalid input: /, '').replace(/^./, (first) => first.toLowerCase());
}

/** Members that an object has twice: JSON would keep the last and lose the first without a word. */
function duplicates(node: Node, path: readonly PropertyKey[] = []): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  (node.children ?? []).forEach((child, index) => {
    if (node.type !== 'object') {
      problems.push(...duplicates(child, [...path, index]));
      return;
    }
    const [key, value] = child.children ?? [];
    const name = String(key?.value);
    if (seen.has(name)) problems.push({ path: [...path, name], message: `'${name}' stands here twice`, offset: child.offset });
    seen.add(name);
    if (value !== undefined) problems.push(...duplicates(value, [...path, name]));
  });
  return problems;
}

/** Where in the text a path is, or the nearest place above it that exists. */
function offsetOf(tree: Node, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length -= 1) {
    const node = findNodeAtLocation(tree, path.slice(0, length) as (string | number)[]);
    if (node !== undefined) return node.parent?.type === 'property' ? node.parent.offset : node.offset;
  }
  return tree.offset;
}

function positionOf(source: string, offset: number): { line: number; column: number } {
  const before = source.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1) ?? '').length + 1 };
}
