#!/usr/bin/env node
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { PolicyFileError } from './policy-file/policy-file-error.ts';
import { readPolicies } from './policy-file/policy-file-text.ts';
import { drawnReplay, type ReplayResult } from './replay/replay-run.ts';
import { replaySvg } from './replay/replay-svg.ts';
import { replayTable } from './replay/replay-table.ts';
import { TraceError } from './replay/replay-trace.ts';
import { version } from './replay/replay-version.ts';
import type { CircuitBreakerOptions } from './settings.ts';

const help = `tidegate-replay ${version}: what a circuit breaker would have done with recorded calls

  tidegate-replay calls.ndjson --policy a.json [--policy b.json …] [--name anthropic]
                  [--format table|json|svg] [--out file]

  --policy, -p   a policy file such as configs/retry_policy.json; up to 20
  --name, -n     whose calls, and whose policy of each file; needed where there are several
  --format, -f   table (the default), json, or an svg timeline
  --out, -o      a file to write to, instead of standard output
  --version
  --help, -h

Only the breaker of each policy is replayed: calls are taken as they were recorded, so its retries and timeouts decide
nothing here. Calls that were refused when they were recorded have no known outcome and count as nothing.

Exit codes: 0 clean, 2 usage or configuration, 3 internal error, 4 unreadable trace, 130 interrupted.
`;

const exit = { clean: 0, usage: 2, internal: 3, unreadable: 4, interrupted: 130 } as const;
const mostPolicies = 20;

const formats: Readonly<Record<string, (result: ReplayResult) => string>> = {
  table: ({ report }) => replayTable(report),
  json: ({ report }) => `${JSON.stringify(report, null, 2)}\n`,
  svg: ({ report, drawing }) => replaySvg(report, drawing),
};

class UsageError extends Error {}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      policy: { type: 'string', short: 'p', multiple: true, default: [] },
      name: { type: 'string', short: 'n' },
      format: { type: 'string', short: 'f', default: 'table' },
      out: { type: 'string', short: 'o' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
    },
  });
  if (values.version) return say(`${version}\n`);
  if (values.help) return say(help);
  const [trace, ...rest] = positionals;
  if (trace === undefined) throw new UsageError('a trace is missing');
  if (rest.length > 0) throw new UsageError(`unexpected '${rest[0]}'`);
  const print = Object.hasOwn(formats, values.format) ? formats[values.format] : undefined;
  if (print === undefined) throw new UsageError(`--format must be ${Object.keys(formats).join(', ')}, not '${values.format}'`);
  const policies = policiesOf(values.policy, values.name);
  const text = print(await drawnReplay(trace, { policies, name: values.name }));
  if (values.out === undefined) return say(text);
  await writeFile(values.out, text).catch((error: Error) => {
    throw new UsageError(`--out cannot be written: ${error.message}`);
  });
  return exit.clean;
}

function policiesOf(files: readonly string[], name: string | undefined): Record<string, CircuitBreakerOptions> {
  if (files.length === 0) throw new UsageError('a --policy is missing');
  if (files.length > mostPolicies) throw new UsageError(`at most ${mostPolicies} policies are compared, not ${files.length}`);
  const twice = files.find((file, at) => files.indexOf(file) !== at);
  if (twice !== undefined) throw new UsageError(`--policy ${twice} is given twice`);
  return Object.fromEntries(files.map((file) => [file, breakerOf(file, name)]));
}

function breakerOf(file: string, name: string | undefined): CircuitBreakerOptions {
  const policies = readPolicies(file);
  const names = [...policies.keys()];
  if (name === undefined && names.length !== 1) {
    throw new UsageError(`${file} has ${names.length === 0 ? 'no policies' : `${names.join(', ')}: pick one by --name`}`);
  }
  const policy = policies.get(name ?? names[0] ?? '');
  if (policy === undefined) throw new UsageError(`${file} has no policy '${name}'; it has ${names.join(', ') || 'none'}`);
  if (policy.circuitBreaker === undefined) throw new UsageError(`the policy of ${file} has no circuitBreaker`);
  return policy.circuitBreaker;
}

function say(text: string): number {
  process.stdout.write(text);
  return exit.clean;
}

/** One clear line for what the user can mend, the stack for what is our fault. */
function explain(error: unknown): number {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof PolicyFileError) return fail(message, exit.usage);
  if (error instanceof TraceError) return fail(message, exit.unreadable);
  if (error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS')) return fail(`tidegate-replay: ${message}\n\n${help}`, exit.usage);
  if (error instanceof RangeError) return fail(`tidegate-replay: ${message}`, exit.usage);
  return fail(`tidegate-replay: ${(error as Error).stack ?? String(error)}`, exit.internal);
}

function fail(text: string, code: number): number {
  process.stderr.write(`${text.trimEnd()}\n`);
  return code;
}

process.on('SIGINT', () => process.exit(exit.interrupted));
process.stdout.on('error', () => process.exit(exit.clean)); // the reader has left, as `head` does

void main(process.argv.slice(2))
  .catch(explain)
  .then((code) => {
    process.exitCode = code;
  });
