import { type CallToolResult, Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { FixtureEvent } from '@tidegate/test-kit';

/** A client of the protocol that does not try again by itself. */
export async function connected(url: string): Promise<Client> {
  const client = new Client({ name: 'chaos', version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' } });
  const reconnectionOptions = { initialReconnectionDelay: 1, maxReconnectionDelay: 1, reconnectionDelayGrowFactor: 1, maxRetries: 0 };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { reconnectionOptions }));
  return client;
}

/** Half of the calls take their time, so that a kill always finds some in the middle. */
export function toolOf(number: number): { name: 'echo' | 'slow'; arguments: Record<string, unknown>; answer: string } {
  const ms = 5 + (number % 7) * 10 + number / 1e6; // the part after the point makes the answer this call's own
  return number % 2 === 0
    ? { name: 'echo', arguments: { text: `${number}`, call: number }, answer: `${number}` }
    : { name: 'slow', arguments: { ms, call: number }, answer: `slept ${ms}` };
}

/** Numbers of the calls that a server began to carry out. */
export function carriedOut(events: readonly FixtureEvent[]): number[] {
  return events.flatMap(({ event, arguments: given }) => (event === 'call' ? [given?.['call'] as number] : []));
}

/** What a tool said. */
export const textOf = ({ content }: Pick<CallToolResult, 'content'>) => (content[0]?.type === 'text' ? content[0].text : '');

/** What is called while a circuit is half-open, as the server saw it; calls that were under way before are no probes. */
export class ProbeCount {
  readonly phases: number[] = [];
  readonly #executed: () => number[];
  readonly #underWay: () => Iterable<number>;
  #before: Set<number> | undefined;

  constructor(executed: () => number[], underWay: () => Iterable<number>) {
    this.#executed = executed;
    this.#underWay = underWay;
  }

  /** At every change of the state, before the call that asked for it is made. */
  changed(to: string): void {
    if (this.#before !== undefined) {
      const before = this.#before;
      this.phases.push(this.#executed().filter((number) => !before.has(number)).length);
      this.#before = undefined;
    }
    if (to === 'half-open') this.#before = new Set([...this.#executed(), ...this.#underWay()]);
  }
}
