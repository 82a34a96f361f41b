import { tempDir } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import { createGateway, type Gateway } from '../src/index.ts';
import { headersOf } from './frames-of-clients.ts';
import { HttpFuzzer } from './http-fuzzer.ts';
import { exchanged } from './in-process.ts';
import { inTime, judge, mutate, patience, randomOf } from './lane.ts';
import { plainLegacy, plainModern } from './plain-server.ts';
import { modernMeta } from './raw-modern.ts';
import { StdioFuzzer } from './stdio-fuzzer.ts';

const lanes = 16;

/** A gateway before a healthy server of each era. */
async function started(): Promise<Gateway> {
  const folder = tempDir('frames-');
  onTestFinished(() => folder.remove());
  const legacy = await plainLegacy();
  onTestFinished(() => legacy[Symbol.asyncDispose]());
  const gateway = await createGateway({
    mcpServers: { legacy: { url: legacy.url }, modern: plainModern },
    limits: [],
    dataDir: folder.path,
  });
  onTestFinished(() => gateway.close());
  await gateway.warmUp();
  return gateway;
}

/** A right call through the same door. */
async function healthy(gateway: Gateway, server: 'legacy' | 'modern', id: number): Promise<void> {
  const frame = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: `${server}__echo`, arguments: { id }, _meta: modernMeta() } };
  const call = exchanged(gateway, { method: 'POST', headers: headersOf(frame), body: Buffer.from(JSON.stringify(frame)) }, () => {}, false);
  const { status, messages } = await inTime(call, 10_000, () => `a healthy call of ${server}`);
  expect({ status, messages }).toMatchObject({ status: 200, messages: [{ id, result: { content: [{ text: JSON.stringify({ id }) }] } }] });
}

/** Opens as many conversations for kinds of clients as a gateway keeps, so that what is bounded is full when measuring begins. */
async function filled(gateway: Gateway): Promise<void> {
  for (let kind = 0; kind < 220; kind += 1) {
    const _meta = modernMeta({ capabilities: { elicitation: { kind } } });
    const frame = { jsonrpc: '2.0', id: kind, method: 'tools/list', params: { _meta } };
    await exchanged(gateway, { method: 'POST', headers: headersOf(frame), body: Buffer.from(JSON.stringify(frame)) }, () => {}, false);
  }
}

test(
  'whatever clients send, every request has one right answer, others are served, and memory stays as it is',
  patience,
  async ({ task }) => {
    const gateway = await started();
    const http = new Map<number, HttpFuzzer>();
    const stdio = new Map<number, StdioFuzzer>();
    let steps = 0;
    await filled(gateway);
    const mutation = await mutate(lanes, async (lane) => {
      steps += 1;
      if (steps % 25 === 0) await healthy(gateway, steps % 50 === 0 ? 'legacy' : 'modern', steps);
      const overHttp = lane % 8 < 5;
      if (overHttp && !http.has(lane)) http.set(lane, new HttpFuzzer(gateway, randomOf(lane)));
      if (!overHttp && !stdio.has(lane)) stdio.set(lane, new StdioFuzzer(gateway, randomOf(lane)));
      return (http.get(lane) ?? (stdio.get(lane) as StdioFuzzer)).step();
    });
    for (const fuzzer of stdio.values()) await fuzzer.close();
    judge(task, mutation);
  },
);
