#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { checkConfigFile, createGateway } from './compose.ts';
import { readConfigFile } from './config.ts';
import { ConfigError } from './config-error.ts';
import { logEvents, logWarnings, stderrLogger } from './log.ts';
import { serve, serveSignIns } from './node.ts';
import { version } from './version.ts';

const help = `tidegate ${version}: one MCP gateway in front of many MCP servers

  tidegate serve [--config tidegate.json] [--host 127.0.0.1] [--port 7300]
                         serves clients over HTTP at /mcp
  tidegate serve --stdio [--config tidegate.json] [--virtual-server name]
                         serves the client that started it, over its standard streams
  tidegate check [--config tidegate.json]
                         says what is wrong with a configuration
  tidegate --version
  tidegate --help

Exit codes: 0 clean, 2 usage or configuration, 3 internal error, 130 interrupted.
`;

const exit = { clean: 0, usage: 2, internal: 3, interrupted: 130 } as const;

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      config: { type: 'string', short: 'c', default: 'tidegate.json' },
      host: { type: 'string' },
      port: { type: 'string' },
      stdio: { type: 'boolean' },
      'virtual-server': { type: 'string' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    },
  });
  if (values.version) return say(version);
  if (values.help) return say(help);
  const [command, ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`unexpected '${rest[0]}'`);
  if (command === 'check') {
    await checkConfigFile(values.config);
    return say(`${values.config} is in order`);
  }
  if (command !== 'serve') throw new UsageError(command === undefined ? 'a command is missing' : `there is no command '${command}'`);
  return values.stdio ? serveStdio(values.config, values['virtual-server']) : serveHttp(values.config, values.host, values.port);
}

async function serveHttp(file: string, host: string | undefined, port: string | undefined): Promise<number> {
  const { config } = await readConfigFile(file);
  const ended = interrupted();
  const logger = stderrLogger();
  logWarnings(logger);
  const gateway = await createGateway(file);
  logEvents(gateway, logger);
  const chosenPort = port === undefined ? config.port : portOf(port);
  const chosenHost = host ?? config.host;
  const served = await serve(gateway, {
    ...(chosenPort !== undefined && { port: chosenPort }),
    ...(chosenHost !== undefined && { host: chosenHost }),
  });
  if (gateway.open) logger.warn('no tokens are configured: everybody on this machine is one anonymous tenant');
  logger.info(`listening at ${served.url}`, { event: 'listening', url: served.url });
  const code = await ended;
  await served.close();
  return code;
}

async function serveStdio(file: string, virtualServer: string | undefined): Promise<number> {
  const ended = interrupted();
  const logger = stderrLogger();
  logWarnings(logger);
  const gateway = await createGateway(file);
  logEvents(gateway, logger);
  const pages = await serveSignIns(gateway);
  const code = await Promise.race([
    gateway.serveStdio(process.stdin, process.stdout, virtualServer === undefined ? {} : { virtualServer }).then(() => exit.clean),
    ended,
  ]);
  await gateway.close();
  await pages.close();
  return code;
}

/** Resolves at the first signal to end; a second one ends at once. */
function interrupted(): Promise<number> {
  return new Promise((resolve) => {
    const codes = { SIGINT: exit.interrupted, SIGTERM: exit.clean, SIGHUP: exit.clean } as const;
    let asked = false;
    for (const [signal, code] of Object.entries(codes)) {
      process.on(signal, () => {
        if (asked) process.exit(exit.interrupted);
        asked = true;
        resolve(code);
      });
    }
  });
}

class UsageError extends Error {}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new UsageError(`--port must be a whole number from 0 to 65535, not '${text}'`);
}

function say(text: string): number {
  process.stdout.write(`${text.trimEnd()}\n`);
  return exit.clean;
}

/** One clear line for what the user can mend, the stack for what is our fault. */
function explain(error: unknown): number {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof ConfigError) return fail(error.message, exit.usage);
  if (error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS')) return fail(`tidegate: ${message}\n\n${help}`, exit.usage);
  if (error instanceof RangeError) return fail(`tidegate: ${message}`, exit.usage);
  const { syscall } = error as NodeJS.ErrnoException;
  if (syscall === 'listen' || syscall === 'getaddrinfo') return fail(`tidegate: cannot listen: ${message}`, exit.usage);
  return fail(`tidegate: ${(error as Error).stack ?? String(error)}`, exit.internal);
}

function fail(text: string, code: number): number {
  process.stderr.write(`${text.trimEnd()}\n`);
  return code;
}

void main(process.argv.slice(2))
  .catch(explain)
  .then((code) => {
    process.exitCode = code;
    // nothing should keep the process alive now; what does is a defect, and must not become a hang
    setTimeout(() => process.exit(), 2_000).unref();
  });
