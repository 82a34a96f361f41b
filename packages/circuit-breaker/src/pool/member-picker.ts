import type { PoolMember, PoolOrder } from './pool-settings.ts';

/** What a picker knows of one member. */
export interface Seat<M extends PoolMember> {
  readonly at: number;
  readonly member: M;
  readonly weight: number;
  /** Calls under way. */
  inFlight: number;
  /** What round robin owes it. */
  credit: number;
}

/** Chooses among the members that take a call; undefined where none does. */
export type Picker = <M extends PoolMember>(seats: readonly Seat<M>[]) => Seat<M> | undefined;

/** The picker of each order. */
export const pickers: Readonly<Record<PoolOrder, Picker>> = {
  'round-robin': takeTurns,
  'least-in-flight': (seats) => {
    const load = <M extends PoolMember>({ inFlight, weight }: Seat<M>) => (inFlight + 1) / weight;
    const least = Math.min(...seats.map(load));
    return takeTurns(seats.filter((seat) => load(seat) === least)); // in turn, or the first would get all that is done one after another
  },
  'in-order': (seats) => seats[0],
};

/** Smooth weighted round robin, as nginx does it: each earns its weight, the richest is served and pays for all. */
function takeTurns<M extends PoolMember>(seats: readonly Seat<M>[]): Seat<M> | undefined {
  let total = 0;
  let richest: Seat<M> | undefined;
  for (const seat of seats) {
    seat.credit += seat.weight;
    total += seat.weight;
    if (richest === undefined || seat.credit > richest.credit) richest = seat;
  }
  if (richest !== undefined) richest.credit -= total;
  return richest;
}
