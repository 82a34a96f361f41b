import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createGateway, type Gateway } from '@tidegate/mcp-gateway';
import { serve } from '@tidegate/mcp-gateway/node';
import { editorEntries } from './editors.ts';
import { EverythingOverHttp, freePort } from './everything-over-http.ts';
import { narrator } from './narrator.ts';
import { killAndRecover, makeCalls, reachTheLimit, spendTheBudget } from './story.ts';

const bin = (name: string) => fileURLToPath(new URL(`./node_modules/.bin/${name}`, import.meta.url));
const once = process.argv.includes('--once');

const folder = await mkdtemp(join(tmpdir(), 'tidegate-quickstart-'));
const primary = new EverythingOverHttp(await freePort(), 'primary');
const fallback = new EverythingOverHttp(await freePort(), 'fallback');
const configFile = join(folder, 'tidegate.json');
const files = join(folder, 'files');

async function writeConfig(): Promise<void> {
  await mkdir(files);
  const config = {
    mcpServers: {
      files: { command: bin('mcp-server-filesystem'), args: [files] },
      memory: { command: bin('mcp-server-memory'), env: { MEMORY_FILE_PATH: join(folder, 'memory.jsonl') } },
      everything: {
        url: primary.url,
        fallbackUrl: fallback.url,
        retry: { initialDelayMs: 50 },
        breaker: { openMs: 2_000 },
      },
    },
    limits: [{ perMinute: 60, perHour: 1_000, burst: 10 }],
    budgets: [{ name: 'quickstart', scope: { tenant: 'default' }, limitUsd: '0.10', period: 'month' }],
    prices: { 'everything__get-sum': { perCallUsd: '0.09' }, everything__echo: { perCallUsd: '0.01' } },
  };
  await writeFile(configFile, JSON.stringify(config, null, 2));
}

function tellEvents(gateway: Gateway, levels: string[]): void {
  gateway.on('server', ({ server, state }) => narrator.event(`server '${server}' is ${state}`));
  gateway.on('circuit', ({ server, to, reason }) => narrator.event(`circuit of '${server}' is ${to} (${reason})`));
  gateway.on('budget', ({ budget, level, spentUsd, limitUsd }) => {
    levels.push(level);
    narrator.event(`budget '${budget}' is at ${spentUsd} of ${limitUsd} USD: ${level}`);
  });
}

async function tellStory(url: string, levels: readonly string[]): Promise<void> {
  const client = new Client({ name: 'quickstart', version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  await makeCalls(client, files);
  await killAndRecover(client, primary);
  await reachTheLimit(client);
  await spendTheBudget(client, url, levels);
  const metrics = await (await fetch(new URL('/metrics', url))).text();
  const refusals = metrics.split('\n').filter((line) => line.startsWith('tidegate_refusals_total'));
  narrator.chapter('What Prometheus sees');
  narrator.check(refusals.length > 0, new URL('/metrics', url).href);
  for (const line of refusals) narrator.say(line.replace(/,service=.*\}/, ',…}'));
  await client.close();
}

function tellEditors(url: string): void {
  narrator.chapter(`The gateway stays up at ${url} until Ctrl-C. To use it meanwhile, paste:`);
  for (const { editor, where, entry } of editorEntries(url, configFile)) {
    console.log(`\n  ${editor} (${where})\n${JSON.stringify(entry, null, 2).replace(/^/gm, '    ')}`);
  }
  console.log(`\n  Metrics: ${new URL('/metrics', url).href}`);
  console.log('  The budget above is spent, so everything__echo and everything__get-sum stay refused; all other tools are free.');
}

async function run(): Promise<void> {
  narrator.chapter('Tidegate in front of three MCP servers from npm');
  await Promise.all([primary.start(), fallback.start(), writeConfig()]);
  const gateway = await createGateway(configFile);
  const levels: string[] = [];
  tellEvents(gateway, levels);
  const served = await serve(gateway, { port: await freePort(once ? 0 : 7300) });
  try {
    await gateway.warmUp();
    narrator.say(`listening at ${served.url}; everybody on this machine is one anonymous tenant`);
    await tellStory(served.url, levels);
    if (once) return;
    tellEditors(served.url);
    await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  } finally {
    await served.close();
  }
}

try {
  await run();
} catch (error) {
  narrator.missed += 1;
  console.error(error);
} finally {
  await Promise.all([primary.kill(), fallback.kill()]);
  await rm(folder, { recursive: true, force: true });
}
console.log(narrator.missed === 0 ? '\nEvery step happened.' : `\n${narrator.missed} step(s) did not happen.`);
process.exitCode = narrator.missed === 0 ? 0 : 1;
