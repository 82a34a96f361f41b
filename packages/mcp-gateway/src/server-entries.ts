import { existsSync } from 'node:fs';
import { commandExists } from './command.ts';
import type { CheckedConfig, Problem } from './config.ts';
import { connector } from './connector.ts';
import type { ServerOptions } from './gateway-config.ts';
import { fitsOneOf } from './name-pattern.ts';
import type { SignIns } from './oauth/sign-ins.ts';
import { type Plugin, pluginConnect } from './plugin.ts';
import type { ServerGuard } from './ports.ts';
import { repeatableTools } from './repeatable.ts';
import type { ServerEntry } from './servers.ts';

/** What guards a server with these options; `own`: it is a plug-in, whose tools fail only where the gateway's own process does. */
export type MakeGuard = (name: string, options: ServerOptions, own?: 'plugin') => ServerGuard;

/** What entries are made with. */
export interface EntryParts {
  readonly guard: MakeGuard;
  readonly signIns: SignIns;
  /** Takes what is wrong. */
  readonly problems: Problem[];
}

/** The servers of a configuration, in its order. */
export function serverEntries({ mcpServers }: CheckedConfig['config'], { guard, signIns, problems }: EntryParts): ServerEntry[] {
  return Object.entries(mcpServers)
    .filter(([, server]) => server.disabled !== true)
    .map(([name, server]) => {
      if ('command' in server) problems.push(...programProblems(name, server.command, server.cwd ?? process.cwd(), server.env?.['PATH']));
      const { fallbackUrl, fallbackHeaders = {}, prefix = `${name}__`, trustAnnotations = false, idempotent = [] } = server;
      const { includeTools = ['*'], excludeTools = [] } = server;
      const [included, excluded] = [fitsOneOf(includeTools), fitsOneOf(excludeTools)];
      const entry = {
        prefix,
        offers: (tool: string) => included(tool) && !excluded(tool),
        repeatable: repeatableTools(idempotent, trustAnnotations),
      };
      const fallbackName = `${name} (fallback)`;
      const fallback = fallbackUrl && {
        ...entry,
        name: fallbackName,
        connect: connector(fallbackName, { url: fallbackUrl, headers: fallbackHeaders }, signIns),
        guard: guard(fallbackName, server),
      };
      return {
        ...entry,
        name,
        connect: connector(name, server, signIns),
        personal: 'url' in server && server.oauth !== undefined,
        guard: guard(name, server),
        ...(fallback && { fallback }),
      };
    });
}

/**
 * The plug-ins, in their order.
 *
 * @throws RangeError for a name that is none, or that another has.
 */
export function pluginEntries(plugins: readonly Plugin[], taken: readonly string[], guard: MakeGuard, now: () => number): ServerEntry[] {
  const names = new Set(taken);
  return plugins.map((plugin, index) => {
    const { name, prefix = `${name}__`, idempotent = [], tools, ...options } = plugin;
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name))
      throw new RangeError(`plugins[${index}].name must be letters, digits, - and _, not ${JSON.stringify(name)}`);
    if (names.has(name)) throw new RangeError(`plugins[${index}].name '${name}' is the name of another server or plug-in`);
    names.add(name);
    const twice = tools.find((tool, at) => tools.findIndex((other) => other.name === tool.name) !== at);
    if (twice !== undefined) throw new RangeError(`plugins[${index}].tools has '${twice.name}' twice`);
    const connect = pluginConnect(plugin, now);
    return {
      name,
      prefix,
      connect: () => connect,
      guard: guard(name, options, 'plugin'),
      repeatable: repeatableTools(idempotent, false),
    };
  });
}

function programProblems(name: string, command: string, cwd: string, path = process.env['PATH'] ?? ''): Problem[] {
  if (!existsSync(cwd)) return [{ path: ['mcpServers', name, 'cwd'], message: `there is no folder '${cwd}'` }];
  if (commandExists(command, cwd, path)) return [];
  return [{ path: ['mcpServers', name, 'command'], message: `there is no program '${command}' on the PATH` }];
}
