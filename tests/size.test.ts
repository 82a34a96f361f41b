import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { packages } from './workspace.ts';

/** What a root entry may weigh with all it loads at once, minified and gzipped, in kB of 1000 bytes. */
const budgetsKb: Readonly<Record<string, number>> = {
  'circuit-breaker': 10,
  'rate-limit': 12,
  'cost-tracker': 15,
  'agent-pool': 15,
  traceability: 30,
  'spec-schema': 80,
};

/** The gateway is a server that nobody ships to a browser or a function: it has no budget. */
const unbounded = ['mcp-gateway'];

/** Bytes of an entry and its dependencies as they are loaded at once; what is imported at first need lies in other files. */
async function weigh(entry: string): Promise<number> {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    outdir: 'weighed',
    bundle: true,
    splitting: true,
    minify: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    conditions: ['@tidegate/source'],
    logLevel: 'silent',
  });
  const outputs = Object.entries(metafile.outputs);
  const first = outputs.find(([, { entryPoint }]) => entryPoint !== undefined && entry.endsWith(entryPoint.replace(/^(\.\.\/)+/, '')));
  const atOnce = new Set<string>();
  const visit = (output: string): void => {
    if (atOnce.has(output)) return;
    atOnce.add(output);
    for (const { path, kind } of metafile.outputs[output]?.imports ?? []) if (kind !== 'dynamic-import') visit(path);
  };
  visit(first?.[0] ?? expect.fail(`nothing was built of ${entry}`));
  const files = [...atOnce].map((output) => basename(output));
  const loaded = outputFiles.filter(({ path }) => files.includes(basename(path)));
  return gzipSync(Buffer.concat(loaded.map(({ contents }) => contents))).byteLength;
}

describe.each(packages.filter(({ short }) => !unbounded.includes(short)))('$name', ({ short, doors }) => {
  test('stays within its size', async () => {
    const budget = budgetsKb[short] ?? expect.fail(`${short} has no size budget`);
    expect((await weigh(doors[0]?.source ?? expect.fail('no root entry'))) / 1000).toBeLessThanOrEqual(budget);
  });
});
