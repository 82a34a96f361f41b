import type { Rule } from '../rules/rule.ts';
import type { Change, Command, Demand, LimitReply, Reply } from '../store.ts';
import { encode, type Places } from './encode.ts';
import { ruleFields } from './rule-fields.ts';

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

interface Sent extends Waiting {
  readonly command: Command;
  readonly change: Change;
  readonly tag: string | undefined;
}

/** Lua unpacks fewer than 8 000 at once. */
const mostKeys = 4_000;

/** Commands that go to the server in one call. */
export class Batch {
  readonly #prefix: string;
  readonly #ruleOf = new Map<string, Rule>(); // limit → its rule
  readonly #changeOf = new Map<Rule, Change>();
  readonly #sent: Sent[] = [];
  #keysAtMost = 0;
  #places: { places: KeysAndRules; list: (number | string)[]; alike: number[] } | undefined;
  #alike = false;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** How many commands it has. */
  get size(): number {
    return this.#sent.length;
  }

  /** Whether it has room, and no limit of a command is in it under another rule or change, as in the midst of one. */
  takes(demands: readonly Demand[], { version, carry }: Change): boolean {
    if (this.#keysAtMost + demands.length >= mostKeys) return false;
    for (const { limit, rule } of demands) {
      const known = this.#ruleOf.get(limit);
      if (known !== undefined && known !== rule && String(known.settings) !== String(rule.settings)) return false;
      const change = this.#changeOf.get(rule); // two limiters may share a rule, and not its changes
      if (change !== undefined && (change.version !== version || change.carry !== carry)) return false;
    }
    return true;
  }

  add(command: Command, change: Change, tag: string | undefined, waiting: Waiting): void {
    this.#sent.push({ command, change, tag, resolve: waiting.resolve, reject: waiting.reject });
    this.#keysAtMost += command.demands.length + 1; // a mark may come with it
    for (const { limit, rule } of command.demands) {
      this.#ruleOf.set(limit, rule);
      this.#changeOf.set(rule, change);
    }
  }

  /** What is sent. `now` is what the server's clock is thought to be, `at` the time to decide by instead of the server's, or 0. */
  call(now: number, at: number): { keys: string[]; argument: string } {
    this.#places ??= this.#encode();
    const { places, list, alike } = this.#places;
    const rules = places.rules.map(({ rule, change }) => ruleFields(rule, change, now));
    return { keys: places.keys, argument: JSON.stringify([at, rules, places.states.size, list, alike]) };
  }

  #encode(): { places: KeysAndRules; list: (number | string)[]; alike: number[] } {
    const places = new KeysAndRules(this.#prefix);
    const list: (number | string)[] = [];
    this.#alike = areAlike(this.#sent);
    const [first] = this.#sent;
    if (!this.#alike || first === undefined) {
      for (const { command, change, tag } of this.#sent) encode(list, command, change, tag, places);
      return { places, list, alike: [] };
    }
    for (const { command, tag } of this.#sent) for (const demand of command.demands) list.push(places.state(demand, tag), demand.cost);
    return { places, list, alike: first.command.demands.map(({ rule }) => places.rule(rule, first.change)) };
  }

  /** Hands out the server's answer; false where it asks for the periods of the calendar at the time it tells. */
  answer(numbers: readonly unknown[]): boolean {
    if (numbers.length === 1 && this.#sent.length > 0) return false;
    const now = Number(numbers[0]);
    let at = 1;
    for (const { command, resolve, reject } of this.#sent) {
      const count = command.demands.length;
      const { done, granted, limits, length } = this.#alike ? alikeReply(numbers, at, count) : reply(numbers, at, count, levelsOf(command));
      at += length;
      if (done < 0) reject(new Error('a state in the store is of another kind, or of something else'));
      else resolve({ done: done === 1, granted, now, limits });
    }
    return true;
  }

  fail(error: unknown): void {
    for (const { reject } of this.#sent) reject(error);
  }
}

/** Which keys and rules a call names, by their places in it. */
class KeysAndRules implements Places {
  readonly states = new Map<string, number>(); // key of a state → its place among KEYS, from 1
  readonly rules: { readonly rule: Rule; readonly change: Change }[] = [];
  readonly #prefix: string;
  readonly #marks: string[] = [];
  readonly #ruleAt = new Map<Rule, number>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  get keys(): string[] {
    return [...this.states.keys(), ...this.#marks];
  }

  state(demand: Demand, tag: string | undefined): number {
    const name = this.#name(demand, tag);
    const known = this.states.get(name);
    if (known !== undefined) return known;
    this.states.set(name, this.states.size + 1);
    return this.states.size;
  }

  rule(rule: Rule, change: Change): number {
    const known = this.#ruleAt.get(rule);
    if (known !== undefined) return known;
    this.#ruleAt.set(rule, this.rules.push({ rule, change }));
    return this.rules.length;
  }

  /** Marks come after all states, so they are numbered from the end of those. */
  mark(id: string, demand: Demand, tag: string | undefined): number {
    return -this.#marks.push(`${this.#name(demand, tag)}#${id}`);
  }

  #name({ limit, key }: Demand, tag: string | undefined): string {
    return tag === undefined ? `${this.#prefix}{=${key}}${limit}` : `${this.#prefix}{=${tag}}${limit}|${key}`;
  }
}

/** Whether all are plain takes by the same limits, which can be said, done and answered in few numbers. */
function areAlike(sent: readonly Sent[]): boolean {
  const [first] = sent;
  return sent.every(({ command, change }) => {
    if (command.do !== 'take' || !command.charge || command.levels || command.reservation !== undefined) return false;
    if (change !== first?.change || command.demands.length !== first.command.demands.length) return false;
    return command.demands.every(({ rule }, i) => rule === first.command.demands[i]?.rule);
  });
}

interface Answered {
  readonly done: number;
  readonly granted: number;
  readonly limits: LimitReply[];
  /** How many numbers it was. */
  readonly length: number;
}

function alikeReply(numbers: readonly unknown[], at: number, count: number): Answered {
  const limits: LimitReply[] = [];
  let done = 1;
  for (let i = 0; i < count; i += 1) {
    const limit = limitReply(numbers, at + i * 2, false);
    if (limit.waitUs > 0) done = Math.min(done, 0);
    if (numbers[at + i * 2 + 1] === -2) done = -1;
    limits.push(limit);
  }
  return { done, granted: 0, limits, length: count * 2 };
}

function reply(numbers: readonly unknown[], at: number, count: number, levels: boolean): Answered {
  const width = levels ? 4 : 2;
  const limits: LimitReply[] = [];
  for (let i = 0; i < count; i += 1) limits.push(limitReply(numbers, at + 2 + i * width, levels));
  return { done: Number(numbers[at]), granted: Number(numbers[at + 1]), limits, length: 2 + count * width };
}

function levelsOf(command: Command): boolean {
  return command.do === 'take' && command.levels;
}

function limitReply(numbers: readonly unknown[], at: number, levels: boolean): LimitReply {
  const wait = Number(numbers[at + 1]);
  return {
    left: Number(numbers[at]),
    waitUs: wait < 0 ? Number.POSITIVE_INFINITY : wait,
    moreInUs: levels ? Number(numbers[at + 2]) : 0,
    fullInUs: levels ? Number(numbers[at + 3]) : 0,
  };
}
