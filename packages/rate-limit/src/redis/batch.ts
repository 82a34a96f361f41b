import type { Rule } from '../rules/rule.ts';
import type { Change, Command, Demand, LimitReply, Reply } from '../store.ts';
import { encode, type Places } from './encode.ts';
import { type Answered, limitReply } from './replies.ts';
import { ruleFields } from './rule-fields.ts';
import { Runs } from './runs.ts';

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
  #runs: Runs | undefined; // where all commands are plain takes by the same limits

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
    const [first] = this.#sent;
    if (first === undefined || !areAlike(this.#sent)) {
      const list: (number | string)[] = [];
      for (const { command, change, tag } of this.#sent) encode(list, command, change, tag, places);
      return { places, list, alike: [] };
    }
    this.#runs = new Runs();
    for (const { command, tag } of this.#sent) this.#runs.add(command, (demand) => places.state(demand, tag));
    return { places, list: this.#runs.list(), alike: first.command.demands.map(({ rule }) => places.rule(rule, first.change)) };
  }

  /** Hands out the server's answer; false where it asks for the periods of the calendar at the time it tells. */
  answer(numbers: readonly unknown[]): boolean {
    if (numbers.length === 1 && this.#sent.length > 0) return false;
    const now = Number(numbers[0]);
    let at = 1;
    this.#runs?.answer(numbers, at);
    for (const [i, { command, resolve, reject }] of this.#sent.entries()) {
      const { done, granted, limits, length } = this.#runs?.reply(i) ?? reply(numbers, at, command.demands.length, levelsOf(command));
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
  #latest: { readonly limit: string; readonly key: string; readonly tag: string | undefined; readonly place: number } | undefined;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  get keys(): string[] {
    return [...this.states.keys(), ...this.#marks];
  }

  state(demand: Demand, tag: string | undefined): number {
    const { limit, key } = demand;
    const latest = this.#latest;
    if (latest !== undefined && latest.key === key && latest.limit === limit && latest.tag === tag) return latest.place;
    const name = this.#name(demand, tag);
    const place = this.states.get(name) ?? this.states.size + 1;
    if (place > this.states.size) this.states.set(name, place);
    this.#latest = { limit, key, tag, place };
    return place;
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

function reply(numbers: readonly unknown[], at: number, count: number, levels: boolean): Answered {
  const width = levels ? 4 : 2;
  const limits: LimitReply[] = [];
  for (let i = 0; i < count; i += 1) limits.push(limitReply(numbers, at + 2 + i * width, levels));
  return { done: Number(numbers[at]), granted: Number(numbers[at + 1]), limits, length: 2 + count * width };
}

function levelsOf(command: Command): boolean {
  return command.do === 'take' && command.levels;
}
