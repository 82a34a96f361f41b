import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { type Direction, type FrameEra, validateFrame } from './frames.ts';

/** Between which two a frame was seen: a client and the gateway, or the gateway and a server. */
export type Hop = 'client' | 'server';

/** Who sent a frame. A peer is whoever the gateway speaks to. */
export type Sender = 'gateway' | 'peer';

/** A frame that is not as the schema of its era wants it. */
export interface Misfit {
  readonly hop: Hop;
  readonly sender: Sender;
  readonly era: FrameEra;
  /** Its method, or `answer to` that of its request. */
  readonly subject: string;
  readonly problems: readonly string[];
  readonly text: string;
}

type Json = Readonly<Record<string, unknown>>;

/** A kind of misfit that is known, and not the gateway's. */
export interface Exception {
  readonly hop: Hop;
  readonly subject: string;
  readonly problem: RegExp;
  readonly why: string;
}

/** Sees the messages that come back for one HTTP request. */
export type Answers = (text: string) => void;

/** Sees every HTTP request with a body and hands out who sees its answers. */
export type HttpTap = (headers: IncomingHttpHeaders, body: string) => Answers;

const versionKey = 'io.modelcontextprotocol/protocolVersion';

/** The requests of one conversation by who has to answer them and their ids. */
type Asked = Map<string, { readonly method: string; readonly era: FrameEra }>;

/** Every frame that was seen on the hops of gateways: counted, and judged by the schema of the era that its sender speaks. */
export class Wire {
  readonly misfits: Misfit[] = [];
  readonly #counts = new Map<string, number>();

  /** Sees one hop over HTTP; `peer` is the era of a server that speaks but one. */
  http(hop: Hop, peer?: FrameEra): HttpTap {
    const sessions = new Map<string, Asked>();
    return (headers, body) => {
      const session = headers['mcp-session-id'];
      const asked: Asked = (typeof session === 'string' && sessions.get(session)) || new Map();
      if (typeof session === 'string') sessions.set(session, asked);
      const named = headers['mcp-protocol-version'];
      const conversation = new Conversation(this, hop, peer, asked, named === '2026-07-28' ? 'modern' : 'legacy');
      const see = (direction: Direction, text: string) => {
        if (text.trim() === '') return;
        conversation.expect(direction, text);
        conversation.judge(direction, text);
      };
      see('to-server', body);
      return (text) => see('to-client', text);
    };
  }

  /** Takes in what the processes behind {@link teed} heard and said, each of them one conversation. */
  stdio(hop: Hop, folder: string, peer?: FrameEra): void {
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.in'))) {
      const lines = (suffix: string) =>
        readFileSync(join(folder, file.replace(/\.in$/, suffix)), 'utf8')
          .split('\n')
          .filter(Boolean);
      const frames = [
        ...lines('.in').map((text) => ['to-server', text] as const),
        ...lines('.out').map((text) => ['to-client', text] as const),
      ];
      const conversation = new Conversation(this, hop, peer, new Map(), 'legacy');
      // the two files do not say what came first: all questions are known before any answer is judged
      for (const [direction, text] of frames) conversation.expect(direction, text);
      for (const [direction, text] of frames) conversation.judge(direction, text);
    }
  }

  /** What is left of the misfits without what peers are known to send, and the exceptions that nothing needed. */
  without(exceptions: readonly Exception[]): { readonly misfits: readonly Misfit[]; readonly unused: readonly Exception[] } {
    const excuses = ({ hop, subject, problem }: Exception, misfit: Misfit) =>
      misfit.sender === 'peer' && misfit.hop === hop && misfit.subject === subject && misfit.problems.every((said) => problem.test(said));
    return {
      misfits: this.misfits.filter((misfit) => !exceptions.some((exception) => excuses(exception, misfit))),
      unused: exceptions.filter((exception) => !this.misfits.some((misfit) => excuses(exception, misfit))),
    };
  }

  /** Frames that fit this description, of those that were seen. */
  count(...words: readonly string[]): number {
    const fitting = [...this.#counts].filter(([key]) => words.every((word) => key.split(' ').includes(word)));
    return fitting.reduce((sum, [, count]) => sum + count, 0);
  }

  /** A line for each hop, era and direction. */
  get totals(): string {
    const rows = [...this.#counts].sort(([a], [b]) => a.localeCompare(b)).map(([key, count]) => `${String(count).padStart(7)} ${key}`);
    return `frames: hop, era, direction, sender\n${rows.join('\n')}\n${String(this.count()).padStart(7)} together, ${this.misfits.length} misfits`;
  }

  /** @internal */
  judged(direction: Direction, found: Misfit): void {
    const key = `${found.hop} ${found.era} ${direction} ${found.sender}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    if (found.problems.length > 0) this.misfits.push(found);
  }
}

/** Frames that know of each other: those of one session, one process, or one request that stands for itself. */
class Conversation {
  readonly #wire: Wire;
  readonly #hop: Hop;
  readonly #peer: FrameEra | undefined;
  readonly #asked: Asked;
  readonly #named: FrameEra;
  #era: FrameEra;

  constructor(wire: Wire, hop: Hop, peer: FrameEra | undefined, asked: Asked, era: FrameEra) {
    this.#wire = wire;
    this.#hop = hop;
    this.#peer = peer;
    this.#asked = asked;
    this.#named = era;
    this.#era = era;
  }

  /** A client's request says its era by itself; all that belongs to it is of the same. */
  expect(direction: Direction, text: string): void {
    const frame = parsed(text);
    if (frame?.['method'] === undefined || frame['id'] === undefined) return;
    const era = direction === 'to-server' ? this.#eraOf(frame) : this.#era;
    this.#era = era;
    const answer = direction === 'to-server' ? 'to-client' : 'to-server';
    this.#asked.set(`${answer} ${JSON.stringify(frame['id'])}`, { method: String(frame['method']), era });
  }

  judge(direction: Direction, text: string): void {
    const frame = parsed(text);
    const sender = (direction === 'to-server') === (this.#hop === 'client') ? 'peer' : 'gateway';
    if (frame === undefined) {
      this.#wire.judged(direction, { hop: this.#hop, sender, era: this.#era, subject: 'none', problems: ['not a JSON object'], text });
      return;
    }
    const isCall = 'method' in frame;
    const request = isCall ? undefined : this.#asked.get(`${direction} ${JSON.stringify(frame['id'])}`);
    const spoken = isCall && 'id' in frame && direction === 'to-server' ? this.#eraOf(frame) : this.#era;
    const own = sender === 'peer' && this.#hop === 'server' ? this.#peer : undefined;
    const era = own ?? request?.era ?? spoken;
    const subject = isCall ? String(frame['method']) : `answer to ${request?.method ?? 'nothing'}`;
    const stray = 'result' in frame && request === undefined ? ['answers no request'] : [];
    const problems = [...stray, ...validateFrame(era, direction, frame, request?.method)];
    this.#wire.judged(direction, { hop: this.#hop, sender, era, subject, problems, text });
  }

  #eraOf({ method, params }: Json): FrameEra {
    const meta = (params as Json | undefined)?.['_meta'] as Json | undefined;
    if (meta?.[versionKey] !== undefined) return 'modern';
    return this.#named === 'modern' && method !== 'initialize' ? 'modern' : 'legacy';
  }
}

function parsed(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

/** The same command line, with every line into it and out of it kept in two files in `folder`. */
export function teed({ command, args }: { command: string; args: readonly string[] }, folder: string): { command: string; args: string[] } {
  return { command: 'sh', args: ['-c', 'tee "$0/$$.in" | "$@" | tee "$0/$$.out"', folder, command, ...args] };
}
