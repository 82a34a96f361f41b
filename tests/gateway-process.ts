import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type Agent, request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { GatewayConfig } from '@tidegate/mcp-gateway';
import { onTestFinished } from 'vitest';
import type { Holdings, Question, Said } from './observed-gateway.ts';
import { root } from './workspace.ts';

/** Starts a gateway as a process of its own, which can be asked what it holds. */
export async function observe(config: GatewayConfig) {
  const execArgv = ['--expose-gc', '--conditions=@tidegate/source', '--import', 'tsx'];
  const child = fork(join(root, 'tests/observed-gateway.ts'), [JSON.stringify(config)], {
    execArgv,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const { url } = (await heard(child)) as { url: string };
  const ask = (question: Question) => child.send(question);
  const holdings = async () => {
    ask('holdings');
    return (await heard(child)) as Holdings;
  };
  const close = async () => {
    ask('close');
    const [code] = await once(child, 'exit');
    return code as number | null;
  };
  return { url, holdings, close };
}

async function heard(child: ChildProcess): Promise<Said> {
  const [said] = await once(child, 'message');
  return said as Said;
}

/** A fetch whose connections all end when `agent` is destroyed, as those of a killed process do. */
export function fetchThrough(agent: Agent) {
  return (url: string | URL, init: RequestInit = {}): Promise<Response> =>
    new Promise((resolve, reject) => {
      const { method = 'GET', headers, body, signal } = init;
      const asking = request(url, { method, agent, headers: Object.fromEntries(new Headers(headers)), ...(signal && { signal }) });
      asking.once('response', (answer) => {
        const { statusCode: status = 0, headers: given } = answer;
        answer.on('error', () => {});
        const empty = status === 202 || status === 204;
        if (empty) answer.resume();
        resolve(
          new Response(empty ? null : (Readable.toWeb(answer) as ReadableStream), { status, headers: given as Record<string, string> }),
        );
      });
      asking.once('error', reject);
      asking.end(body);
    });
}
