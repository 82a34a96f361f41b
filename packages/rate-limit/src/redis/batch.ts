import type { Rule } from '../rules/rule.ts';
import type { Change, Command, Demand, LimitReply, Reply } from '../store.ts';
import { encode, type Places } from './encode.ts';
import { ruleFields } from './rule-fields.ts';

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

interface Sent extends Waiting {
  readonly demands: number;
  readonly levels: boolean;
}

/** Lua unpacks fewer than 8 000 at once. */
const mostKeys = 4_000;

/** Commands that go to the server in one call. */
export class Batch implements Places {
  readonly #prefix: string;
  readonly #states = new Map<string, number>(); // key of a state → its place among KEYS, from 1
  readonly #ruleOf = new Map<string, Rule>(); // limit → its rule
  readonly #marks: string[] = [];
  readonly #rules = new Map<Rule, number>(); // rule → its place, from 1
  readonly #changes: Change[] = [];
  readonly #list: (number | string)[] = [];
  readonly #sent: Sent[] = [];

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** How many commands it has. */
  get size(): number {
    return this.#sent.length;
  }

  /** Whether it has room, and no limit of a command is in it under another rule or change, as in the midst of one. */
  takes(demands: readonly Demand[], { version, carry }: Change): boolean {
    if (this.#states.size + this.#marks.length + demands.length >= mostKeys) return false;
    for (const { limit, rule } of demands) {
      const known = this.#ruleOf.get(limit);
      if (known !== undefined && known !== rule && String(known.settings) !== String(rule.settings)) return false;
      const change = this.#changes[(this.#rules.get(rule) ?? 0) - 1]; // two limiters may share a rule, and not its changes
      if (change !== undefined && (change.version !== version || change.carry !== carry)) return false;
    }
    return true;
  }

  add(command: Command, change: Change, tag: string | undefined, waiting: Waiting): void {
    encode(this.#list, command, change, tag, this);
    const levels = command.do === 'take' && command.levels;
    this.#sent.push({ resolve: waiting.resolve, reject: waiting.reject, demands: command.demands.length, levels });
  }

  /** What is sent. `now` is what the server's clock is thought to be, `at` the time to decide by instead of the server's, or 0. */
  call(now: number, at: number): { keys: string[]; argument: string } {
    const rules = [...this.#rules.keys()].map((rule, i) => ruleFields(rule, this.#changes[i] as Change, now));
    return { keys: [...this.#states.keys(), ...this.#marks], argument: JSON.stringify([at, rules, this.#states.size, this.#list]) };
  }

  /** Hands out the server's answer; false where it asks for the periods of the calendar at the time it tells. */
  answer(numbers: readonly unknown[]): boolean {
    if (numbers.length === 1 && this.#sent.length > 0) return false;
    const now = Number(numbers[0]);
    let at = 1;
    for (const { resolve, reject, demands, levels } of this.#sent) {
      const done = Number(numbers[at]);
      const granted = Number(numbers[at + 1]);
      at += 2;
      const limits: LimitReply[] = [];
      for (let i = 0; i < demands; i += 1) {
        limits.push(limitReply(numbers, at, levels));
        at += levels ? 4 : 2;
      }
      if (done < 0) reject(new Error('a state in the store is of another kind, or of something else'));
      else resolve({ done: done === 1, granted, now, limits });
    }
    return true;
  }

  fail(error: unknown): void {
    for (const { reject } of this.#sent) reject(error);
  }

  /** The place of a state among KEYS. */
  state(demand: Demand, tag: string | undefined): number {
    const name = this.#name(demand, tag);
    const known = this.#states.get(name);
    if (known !== undefined) return known;
    this.#ruleOf.set(demand.limit, demand.rule);
    this.#states.set(name, this.#states.size + 1);
    return this.#states.size;
  }

  /** The place of a rule in the list of rules. */
  rule(rule: Rule, change: Change): number {
    const known = this.#rules.get(rule);
    if (known !== undefined) return known;
    this.#changes.push(change);
    this.#rules.set(rule, this.#changes.length);
    return this.#changes.length;
  }

  /** Marks come after all states, so they are numbered from the end of those. */
  mark(id: string, demand: Demand, tag: string | undefined): number {
    return -this.#marks.push(`${this.#name(demand, tag)}#${id}`);
  }

  /** With the kind of its rule, because a limit of another kind begins anew. */
  #name({ limit, key, rule }: Demand, tag: string | undefined): string {
    const name = `${limit}|${rule.kind}`;
    return tag === undefined ? `${this.#prefix}{=${key}}${name}` : `${this.#prefix}{=${tag}}${name}|${key}`;
  }
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
