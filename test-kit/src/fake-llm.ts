/** A provider of language models with the API of OpenAI, as a process. Arguments: a port, a file for its events, `{ seed }` as JSON. */
import { appendFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { faultOfModel, type LlmFault, llmItems } from './llm-faults.ts';

/** One line of what the provider did. */
export interface LlmEvent {
  readonly event: 'request' | 'refused' | 'done';
  readonly call: number;
  /** From 1. */
  readonly attempt: number;
  readonly fault: LlmFault;
  /** When the request came, or its answer went out: ms of this process's monotonic clock. */
  readonly at: number;
}

interface ChatRequest {
  readonly model: string;
  /** The number of the call, by which its attempts are known. */
  readonly user: string;
  readonly stream?: boolean;
}

const [, , port, log = '', options = '{}'] = process.argv;
const { seed } = JSON.parse(options) as { seed: number };
const attempts = new Map<number, number>();

const record = (event: LlmEvent) => appendFileSync(log, `${JSON.stringify(event)}\n`);

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function refuse(response: ServerResponse, { status, waitMs, header }: LlmFault & { kind: 'status' }): void {
  const wait = header === undefined || waitMs === undefined ? {} : { [header]: `${header === 'retry-after' ? waitMs / 1_000 : waitMs}` };
  const [type, code] = status === 429 ? ['requests', 'rate_limit_exceeded'] : ['server_error', null];
  response.writeHead(status, { 'content-type': 'application/json', ...wait });
  response.end(JSON.stringify({ error: { message: `refused with ${status}`, type, code, param: null } }));
}

async function stream(response: ServerResponse, items: number): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (let item = 0; item < items; item += 1) {
    const chunk = { id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: `${item}` } }] };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    await sleep(2); // items of their own packets
  }
  if (items === llmItems) response.end('data: [DONE]\n\n');
}

async function answer(response: ServerResponse, { stream: streamed = false, user }: ChatRequest, fault: LlmFault): Promise<void> {
  if (fault.kind === 'hang') return;
  if (fault.kind === 'status') return refuse(response, fault);
  const items = fault.kind === 'cut' ? fault.afterItems : llmItems;
  if (streamed) await stream(response, items);
  else {
    const whole = JSON.stringify({
      id: 'c',
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: user } }],
    });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': whole.length });
    if (fault.kind === 'cut') response.write(whole.slice(0, whole.length / 2));
    else response.end(whole);
  }
  if (fault.kind === 'cut') {
    await sleep(10); // what was written is on its way
    response.destroy();
  }
}

createServer(async (request, response) => {
  const at = performance.now();
  if (request.url !== '/v1/chat/completions') return response.writeHead(404).end();
  const asked = JSON.parse(await bodyOf(request)) as ChatRequest;
  const call = Number(asked.user);
  const attempt = (attempts.get(call) ?? 0) + 1;
  attempts.set(call, attempt);
  const fault = faultOfModel(asked.model, seed, call, attempt);
  record({ event: 'request', call, attempt, fault, at });
  // before it goes out, so that nobody can have heard it earlier
  if (fault.kind === 'status') record({ event: 'refused', call, attempt, fault, at: performance.now() });
  await answer(response, asked, fault);
  record({ event: 'done', call, attempt, fault, at: performance.now() });
}).listen(Number(port), '127.0.0.1');
