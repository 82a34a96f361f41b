import type { Rule } from '../rules/rule.ts';
import type { Change, Command, Demand, Settle } from '../store.ts';

/** Where what a command names is to be found in the call. */
export interface Places {
  state(demand: Demand, tag: string | undefined): number;
  rule(rule: Rule, change: Change): number;
  /** Of what is to happen once. */
  mark(id: string, demand: Demand, tag: string | undefined): number;
}

const codes = { take: 1, settle: 2, renew: 3, refund: 4, reset: 5, lease: 6 } as const;

/**
 * Appends a command to the list that the script reads: its code, when or how, an id or amount, its mark, and how many demands follow; of each
 * where its state and its rule are, the cost, and what was reserved. Ids are text, all else numbers.
 */
export function encode(list: (number | string)[], command: Command, change: Change, tag: string | undefined, places: Places): void {
  const once = onceOnly(command);
  const mark = once === undefined ? 0 : places.mark(once, command.demands[0] as Demand, tag);
  list.push(codes[command.do], manner(command), subject(command), mark, command.demands.length);
  for (const demand of command.demands) {
    const { reserved = 0 } = demand as Partial<Settle['demands'][number]>;
    list.push(places.state(demand, tag), places.rule(demand.rule, change), demand.cost, reserved);
  }
}

function manner(command: Command): number {
  if (command.do === 'take') return (command.charge ? 1 : 0) + (command.levels ? 2 : 0);
  return command.do === 'settle' || command.do === 'lease' ? command.takenAt : 0;
}

function subject(command: Command): number | string {
  if (command.do === 'lease') return command.used;
  return command.do === 'refund' || command.do === 'reset' ? 0 : (command.reservation ?? 0);
}

/** The id of what gives something back: sent twice by a client that reconnects, it would let more through. */
function onceOnly(command: Command): string | undefined {
  if (command.do === 'refund') return command.id;
  if (command.do === 'settle' && command.demands.some(({ cost, reserved }) => cost < reserved)) return command.reservation;
  return command.do === 'lease' && command.demands[0].reserved > command.used ? command.id : undefined;
}
