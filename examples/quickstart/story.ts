import type { CallToolResult, Client } from '@modelcontextprotocol/client';
import type { EverythingOverHttp } from './everything-over-http.ts';
import { narrator } from './narrator.ts';

type Result = Pick<CallToolResult, 'content' | 'isError' | '_meta'>;

/** Real calls through the gateway to real servers. */
export async function makeCalls(client: Client, folder: string): Promise<void> {
  narrator.chapter('Three servers as one');
  const { tools } = await client.listTools();
  const of = (server: string) => tools.filter(({ name }) => name.startsWith(`${server}__`)).length;
  narrator.check(
    of('files') > 0 && of('memory') > 0 && of('everything') > 0,
    `${tools.length} tools: ${of('files')} of files, ${of('memory')} of memory, ${of('everything')} of everything`,
  );
  await call(client, 'files__write_file', { path: `${folder}/note.txt`, content: 'the tide turns at six' });
  const note = textOf(await call(client, 'files__read_text_file', { path: `${folder}/note.txt` }));
  narrator.check(note.includes('the tide turns at six'), `files__read_text_file: "${note}"`);
  const entities = [{ name: 'tide', entityType: 'fact', observations: ['turns at six'] }];
  await call(client, 'memory__create_entities', { entities });
  const found = textOf(await call(client, 'memory__search_nodes', { query: 'tide' }));
  narrator.check(found.includes('turns at six'), 'memory__search_nodes finds what memory__create_entities kept');
  narrator.check((await whoAnswers(client)) === 'primary', "everything__get-env is answered by 'primary'");
}

/** A server dies and comes back. */
export async function killAndRecover(client: Client, primary: EverythingOverHttp): Promise<void> {
  narrator.chapter('A server dies');
  await primary.kill();
  narrator.say(`kill -9: nothing listens at ${primary.url} any more`);
  let fellBack = false;
  for (let i = 0; i < 6 && !fellBack; i += 1) {
    const result = await call(client, 'everything__get-env', {});
    fellBack = instanceOf(result) === 'fallback';
    if (!fellBack) narrator.say(`everything__get-env: ${firstLine(textOf(result))}`);
  }
  narrator.check(fellBack, "everything__get-env is answered by 'fallback' while the circuit is open");
  narrator.check(
    textOf(await call(client, 'memory__search_nodes', { query: 'tide' })).includes('turns at six'),
    'the other servers never noticed',
  );

  narrator.chapter('And comes back');
  await primary.start();
  narrator.say(`server-everything listens at ${primary.url} again`);
  let back = false;
  for (let i = 0; i < 40 && !back; i += 1) {
    back = (await whoAnswers(client)) === 'primary';
    if (!back) await new Promise((resolve) => setTimeout(resolve, 250));
  }
  narrator.check(back, "a probe got through: everything__get-env is answered by 'primary' again");
}

/** One tool is called too often. */
export async function reachTheLimit(client: Client): Promise<void> {
  narrator.chapter('A limit');
  narrator.say('60 a minute with bursts of 10 for each tool; memory__read_graph is called as fast as it answers');
  let allowed = 0;
  let refused: Result | undefined;
  while (allowed <= 20 && refused === undefined) {
    const result = await call(client, 'memory__read_graph', {});
    if (result.isError) refused = result;
    else allowed += 1;
  }
  const refusal = refusalOf(refused);
  narrator.check(
    refusal?.code === 'ERR_RATE_LIMITED' && (refusal.retryAfterMs ?? 0) > 0,
    `call ${allowed + 1} is refused: ${refusal?.code}, come back in ${refusal?.retryAfterMs} ms`,
  );
  narrator.say(`the model reads: "${textOf(refused)}"`);
}

/** Money runs out. */
export async function spendTheBudget(client: Client, url: string, levels: readonly string[]): Promise<void> {
  narrator.chapter('A budget of 0.10 USD a month');
  narrator.say('everything__get-sum costs 0.09 USD a call, everything__echo 0.01; all others are free');
  const spend = async (name: string, args: Record<string, unknown>, level: string, percent: number) => {
    await call(client, name, args);
    narrator.check(levels.includes(level), `${name} brings the budget to ${percent} %: ${level}`);
  };
  await spend('everything__get-sum', { a: 2, b: 3 }, 'warning', 90);
  await spend('everything__echo', { message: 'one' }, 'critical', 100);
  await spend('everything__echo', { message: 'two' }, 'blocked', 110);
  const refused = await call(client, 'everything__echo', { message: 'three' });
  narrator.check(refusalOf(refused)?.code === 'ERR_BUDGET_EXCEEDED', `the next is refused: "${textOf(refused)}"`);
  const address = new URL('/api/mcp/tools/everything__echo', url);
  const response = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ message: 'four' }),
  });
  const problem = (await response.json()) as { code: string; spentUsd: string; limitUsd: string };
  narrator.check(
    response.status === 403,
    `POST ${address.pathname} answers ${response.status}: ${problem.code}, spent ${problem.spentUsd} of ${problem.limitUsd} USD`,
  );
}

async function call(client: Client, name: string, args: Record<string, unknown>): Promise<Result> {
  return (await client.callTool({ name, arguments: args })) as Result;
}

async function whoAnswers(client: Client): Promise<string | undefined> {
  return instanceOf(await call(client, 'everything__get-env', {}));
}

function instanceOf(result: Result): string | undefined {
  return /"INSTANCE":\s*"(\w+)"/.exec(textOf(result))?.[1];
}

function textOf(result: Result | undefined): string {
  const [block] = result?.content ?? [];
  return block?.type === 'text' ? block.text : '';
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}

function refusalOf(result: Result | undefined): { code: string; retryAfterMs?: number } | undefined {
  return result?._meta?.['io.tidegate/refusal'] as { code: string; retryAfterMs?: number } | undefined;
}
