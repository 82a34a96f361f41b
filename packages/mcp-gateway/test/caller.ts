import { validateFrame } from '../../../tests/conformance/frames.ts';
import type { Gateway } from '../src/index.ts';
import { headersOf, legacyHeaders } from './frames-of-clients.ts';
import { exchanged, type Heard } from './in-process.ts';
import { inTime } from './lane.ts';
import { type Json, pick, type Random } from './mutations.ts';
import { modernMeta } from './raw-modern.ts';

/** A call may be made twice, each attempt with its own time, and its questions be answered twice. */
const hangMs = 10_000;
const mostRounds = 3;
const kinds = [{}, {}, { elicitation: {} }];

interface Outcomes {
  result: number;
  error: number;
  refused: number;
}

/** A client that does everything right, before servers that do not. Its era changes from call to call. */
export class Caller {
  readonly outcomes: Outcomes = { result: 0, error: 0, refused: 0 };
  readonly #gateway: Gateway;
  readonly #random: Random;
  readonly #capabilities: object;
  #session: string | undefined;
  #lastId = 0;

  constructor(gateway: Gateway, random: Random, kind: number) {
    this.#gateway = gateway;
    this.#random = random;
    this.#capabilities = kinds[kind] ?? {};
  }

  static totals(callers: Iterable<Caller>): Record<keyof Outcomes, number> {
    const sum = { result: 0, error: 0, refused: 0 };
    for (const { outcomes } of callers) for (const key of ['result', 'error', 'refused'] as const) sum[key] += outcomes[key];
    return sum;
  }

  /** Makes one call that is answered with mutated frames; tells how many. Rejects where the answer is not right. */
  async step(server: string): Promise<number> {
    const random = this.#random;
    const frames = 1 + Math.floor(random() * 5);
    const plan = `${Math.floor(random() * 2 ** 31)}/${frames}`;
    const [method, params] = pick(random, [
      ['tools/call', { name: `${server}__call`, arguments: { plan } }],
      ['tools/call', { name: `${server}__once`, arguments: { plan }, _meta: { progressToken: 'mine' } }],
      ['resources/read', { uri: `mut://${server}/${plan}` }],
      ['prompts/get', { name: `${server}__prompt`, arguments: { plan } }],
      ['completion/complete', { ref: { type: 'ref/prompt', name: `${server}__prompt` }, argument: { name: 'plan', value: plan } }],
    ] as const);
    const answer = await this.#call(method, params);
    const result = answer['result'] as Json | undefined;
    const refused = (result?.['_meta'] as Json | undefined)?.['io.tidegate/refusal'] !== undefined;
    this.outcomes[answer['error'] !== undefined ? 'error' : refused ? 'refused' : 'result'] += 1;
    return frames;
  }

  /** A call of a server that is in order. */
  async healthy(server: 'legacy' | 'modern'): Promise<void> {
    const answer = await this.#call('tools/call', { name: `${server}__echo`, arguments: { well: true } });
    const [content] = ((answer['result'] as Json | undefined)?.['content'] ?? []) as Json[];
    if (content?.['text'] !== '{"well":true}') throw new Error(`the healthy server ${server} was not heard: ${JSON.stringify(answer)}`);
  }

  async #call(method: string, params: Json): Promise<Json> {
    return this.#random() < 0.5 ? this.#legacy(method, params) : this.#modern(method, params);
  }

  async #modern(method: string, params: Json): Promise<Json> {
    const _meta = { ...(params['_meta'] as object), ...modernMeta({ capabilities: this.#capabilities, logLevel: 'debug' }) };
    let sent: Json = { ...params, _meta };
    for (let round = 0; round < mostRounds; round += 1) {
      const frame = { jsonrpc: '2.0', id: this.#nextId(), method, params: sent };
      const answer = await this.#post(frame, headersOf(frame), 'modern');
      const { resultType, inputRequests, requestState } = (answer['result'] ?? {}) as Json;
      if (resultType !== 'input_required') return answer;
      const keys = typeof inputRequests === 'object' && inputRequests !== null ? Object.keys(inputRequests) : [];
      const inputResponses = Object.fromEntries(keys.map((key) => [key, { action: 'decline' }]));
      sent = { ...params, _meta, inputResponses, ...(typeof requestState === 'string' && { requestState }) };
    }
    return { error: {} };
  }

  async #legacy(method: string, params: Json): Promise<Json> {
    this.#session ??= await this.#open();
    return this.#post({ jsonrpc: '2.0', id: this.#nextId(), method, params }, legacyHeaders(this.#session), 'legacy');
  }

  async #open(): Promise<string> {
    const params = { protocolVersion: '2025-11-25', capabilities: this.#capabilities, clientInfo: { name: 'caller', version: '1' } };
    const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }));
    const { headers } = await exchanged(this.#gateway, { method: 'POST', headers: legacyHeaders(''), body }, () => {}, false);
    return headers['mcp-session-id'] as string;
  }

  async #post(frame: Json, headers: Record<string, string>, era: 'legacy' | 'modern'): Promise<Json> {
    const posted = { method: 'POST', headers, body: Buffer.from(JSON.stringify(frame)) };
    const asked = (message: unknown) => this.#respond(message as Json, headers);
    const heard = await inTime(exchanged(this.#gateway, posted, asked, false), hangMs, () => JSON.stringify(frame));
    const { answer, problems } = judged(frame, era, heard);
    if (problems.length > 0) {
      const said = heard.messages.map((message) => JSON.stringify(message).slice(0, 600)).join('\n');
      throw new Error(`${problems.join('\n')}\nsent ${JSON.stringify(frame)}\nheard ${heard.status}\n${said}`);
    }
    return answer as Json;
  }

  #respond(question: Json, headers: Record<string, string>): void {
    if (question['id'] === undefined || question['method'] === undefined) return;
    const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: question['id'], result: { action: 'decline' } }));
    void exchanged(this.#gateway, { method: 'POST', headers, body }, () => {}, false);
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }
}

/** What the server put into a result or a notification is its own; what the gateway makes of it has to be a frame of the era. */
function judged(frame: Json, era: 'legacy' | 'modern', { messages, status }: Heard): { answer: Json | undefined; problems: string[] } {
  const answers = messages.filter((message): message is Json => !('method' in (message as Json)));
  const [answer] = answers;
  const problems = answers.flatMap((message) => validateFrame(era, 'to-client', message));
  if (answers.length !== 1) problems.push(`${answers.length} answers`);
  if (answer !== undefined && answer['id'] !== frame['id']) problems.push(`an answer to ${JSON.stringify(answer['id'])}`);
  const code = (answer?.['error'] as Json | undefined)?.['code'];
  const wanted =
    code === -32_601 ? [200, 404] : code !== undefined && Number(code) <= -32_020 && Number(code) >= -32_022 ? [200, 400] : [200];
  if (!wanted.includes(status)) problems.push(`status ${status} for code ${code}`);
  return { answer, problems };
}
