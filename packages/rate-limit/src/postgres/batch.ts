import type { Sent } from '../coalesce.ts';
import { storedKey } from '../demand.ts';
import type { Rule } from '../rules/rule.ts';
import type { Command, Demand, LimitReply, Reply } from '../store.ts';

const operations = { take: 1, settle: 2, renew: 3, refund: 4, reset: 5, lease: 6 } as const;
const kinds = { 'token-bucket': 1, 'sliding-window': 2, 'calendar-quota': 3, concurrency: 4 } as const;
const carries = { used: 0, proportional: 1, reset: 2 } as const;

/** A rule of the calendar, which this process knows and the server does not. */
interface ByCalendar extends Rule {
  periodAt(us: number): { readonly start: number; readonly end: number };
}

/** Commands as the deciding function reads them. */
export class Batch {
  readonly #sent: readonly Sent[];
  readonly #keys = new Map<string, { readonly key: string; locked: boolean; number: number }>();
  readonly #rules = new Map<string, { readonly rule: Rule; readonly text: string; readonly number: number }>();
  readonly #lists: readonly string[];
  #locked = 0;

  constructor(sent: readonly Sent[]) {
    this.#sent = sent;
    for (const { command } of sent) this.#note(command);
    const kept = [...this.#keys.values()];
    const ordered = [...kept.filter(({ locked }) => locked), ...kept.filter(({ locked }) => !locked)];
    this.#locked = kept.filter(({ locked }) => locked).length;
    for (const [i, known] of ordered.entries()) known.number = i + 1;
    this.#lists = [texts(ordered.map(({ key }) => key)), ...this.#commandLists()];
  }

  /** The arguments of the function. `at` is about the store's time, in µs, and `now` what it is to be taken as, if given. */
  values(at: number, now: number | undefined): unknown[] {
    const rules = [...this.#rules.values()];
    const settings = rules.flatMap(({ rule }) => settingsAt(rule, at));
    const [keys, ...commands] = this.#lists;
    return [now ?? null, keys, this.#locked, texts(rules.map(({ text }) => text)), numbers(settings), ...commands];
  }

  /** The replies in an answer; the time, where the periods sent are not those of that time. */
  read(answer: string): Reply[] | number {
    const given = answer.split(',').map(Number);
    const now = given[1] as number;
    if (given[0] !== 0) return now;
    let at = 2;
    return this.#sent.map(({ command }) => {
      const [done, granted] = [given[at] === 1, given[at + 1] as number];
      at += 2;
      const limits = command.demands.map((): LimitReply => {
        const detail = levels(command);
        const [waitUs = 0, left = 0, moreInUs = 0, fullInUs = 0] = given.slice(at, at + (detail ? 4 : 2));
        at += detail ? 4 : 2;
        return { waitUs: waitUs < 0 ? Number.POSITIVE_INFINITY : waitUs, left, moreInUs, fullInUs };
      });
      return { done, granted, now, limits };
    });
  }

  #note(command: Command): void {
    if (command.do === 'refund') this.#keys.set(refundKey(command.id), { key: storedKey(refundKey(command.id)), locked: true, number: 0 });
    const asks = command.do === 'take' && !command.charge;
    for (const { limit, key, rule } of command.demands) {
      const id = `${limit}|${key}`;
      const known = this.#keys.get(id) ?? { key: storedKey(id), locked: false, number: 0 };
      if (!asks) known.locked = true;
      this.#keys.set(id, known);
      const text = textOf(rule);
      if (!this.#rules.has(text)) this.#rules.set(text, { rule, text, number: this.#rules.size + 1 });
    }
  }

  /** Of a refund, the number of the row that remembers it. */
  #takenAt(command: Command): number {
    if (command.do === 'refund') return this.#keys.get(refundKey(command.id))?.number ?? 0;
    return command.do === 'settle' || command.do === 'lease' ? command.takenAt : 0;
  }

  #commandLists(): string[] {
    const commands = this.#sent.flatMap(({ command, change }) => [
      operation(command),
      command.demands.length,
      levels(command) ? 1 : 0,
      carries[change.carry],
    ]);
    const changes = this.#sent.flatMap(({ command, change }) => [
      change.version,
      this.#takenAt(command),
      command.do === 'lease' ? command.used : 0,
    ]);
    const asked = this.#sent.flatMap(({ command }) => command.demands as readonly (Demand & { readonly reserved?: number })[]);
    const demands = asked.flatMap(({ limit, key, rule }) => [
      this.#keys.get(`${limit}|${key}`)?.number ?? 0,
      this.#rules.get(textOf(rule))?.number ?? 0,
    ]);
    const amounts = asked.flatMap(({ cost, reserved = 0 }) => [cost, reserved]);
    const ids = this.#sent.map(({ command }) => idOf(command));
    return [numbers(commands), numbers(changes), numbers(demands), numbers(amounts), texts(ids.some((id) => id !== undefined) ? ids : [])];
  }
}

function refundKey(id: string): string {
  return `\0refund|${id}`; // no limit has such a name
}

function operation(command: Command): number {
  return command.do === 'take' && !command.charge ? 0 : operations[command.do];
}

function levels(command: Command): boolean {
  return command.do === 'take' && command.levels;
}

function idOf(command: Command): string | undefined {
  const id = command.do === 'lease' ? command.id : 'reservation' in command ? command.reservation : undefined;
  return id === undefined ? undefined : storedKey(id);
}

const written = new WeakMap<Rule, string>();

/** A rule as it is kept in the rows that it decides. */
function textOf(rule: Rule): string {
  const known = written.get(rule) ?? [kinds[rule.kind], ...rule.settings].join(',');
  written.set(rule, known);
  return known;
}

function settingsAt(rule: Rule, at: number): number[] {
  if (rule.kind !== 'calendar-quota') return [kinds[rule.kind], ...rule.settings, 0, 0].slice(0, 6);
  const { start, end } = (rule as ByCalendar).periodAt(at);
  return [kinds[rule.kind], rule.most, start, end, (rule as ByCalendar).periodAt(end).end, 0];
}

function numbers(list: readonly number[]): string {
  return `{${list.join(',')}}`;
}

// Of printable ASCII, JSON escapes what an array of Postgres escapes.
function texts(list: readonly (string | undefined)[]): string {
  return `{${list.map((text) => (text === undefined ? 'NULL' : JSON.stringify(text))).join(',')}}`;
}
