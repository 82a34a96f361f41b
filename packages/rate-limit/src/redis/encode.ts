import type { Rule } from '../rules/rule.ts';
import type { Change, Command, Demand, Settle } from '../store.ts';

/** Where what a command names is to be found in the call. */
export interface Places {
  state(demand: Demand, tag: string | undefined): number;
  rule(rule: Rule, change: Change): number;
  /** Of what is to happen once. */
  mark(id: string, demand: Demand, tag: string | undefined): number;
}

/** Appends a command to the list that the script reads; ids are text, all else numbers. */
export function encode(list: (number | string)[], command: Command, change: Change, tag: string | undefined, places: Places): void {
  switch (command.do) {
    case 'take':
      list.push(1, (command.charge ? 1 : 0) + (command.levels ? 2 : 0), command.reservation ?? 0, command.demands.length);
      for (const one of command.demands) list.push(places.state(one, tag), places.rule(one.rule, change), one.cost);
      return;
    case 'settle':
      list.push(2, command.reservation, command.takenAt, givesBack(command) ? places.mark(command.reservation, command.demands[0] as Demand, tag) : 0, command.demands.length);
      for (const one of command.demands) list.push(places.state(one, tag), places.rule(one.rule, change), one.cost, one.reserved);
      return;
    case 'renew':
      list.push(3, command.reservation, command.demands.length);
      for (const one of command.demands) list.push(places.state(one, tag), places.rule(one.rule, change));
      return;
    case 'refund':
      list.push(4, places.mark(command.id, command.demands[0] as Demand, tag), command.demands.length);
      for (const one of command.demands) list.push(places.state(one, tag), places.rule(one.rule, change), one.cost);
      return;
    case 'reset':
      list.push(5, command.demands.length);
      for (const one of command.demands) list.push(places.state(one, tag), places.rule(one.rule, change));
      return;
    case 'lease': {
      const [one] = command.demands;
      list.push(6, one.reserved > command.used ? places.mark(command.id, one, tag) : 0, command.takenAt, command.used);
      list.push(places.state(one, tag), places.rule(one.rule, change), one.cost, one.reserved);
    }
  }
}

/** Only what gives back would let more through if a client that reconnects sent it twice. */
function givesBack({ demands }: Settle): boolean {
  return demands.some(({ cost, reserved }) => cost < reserved);
}
