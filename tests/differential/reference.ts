import { isDeepStrictEqual } from 'node:util';
import { until } from '@tidegate/test-kit';
import { expect } from 'vitest';
import {
  type Account,
  type Afterwards,
  accountOf,
  afterwards,
  expectWhole,
  type Offers,
  type Outcome,
  offersOf,
  type View,
} from './account.ts';
import { type ClientKind, directKindOf } from './clients.ts';
import type { Subject } from './subjects.ts';

/** What a server says itself. */
export interface Reference {
  readonly subject: Subject;
  readonly offers: Offers;
  readonly account: Account;
  readonly after: Afterwards;
}

/** What the server itself says to a client of this kind. */
export async function referenceOf(subject: Subject, kind: ClientKind): Promise<Reference> {
  subject.reset();
  await using peer = await directKindOf(kind).connect(subject.command);
  const view: View = { peer, prefix: '', era: 'legacy' };
  const offers = offersOf(view);
  const account = await accountOf(view, subject, offers);
  expectWhole(account, subject);
  return { subject, offers, account, after: await afterwards(view, offers) };
}

/** The same with another list of tools. */
export function withTools(reference: Reference, change: (tools: Outcome) => Outcome): Reference {
  const lists = <T extends Afterwards>(told: T): T => ({
    ...told,
    lists: { ...told.lists, tools: change(told.lists['tools'] as Outcome) },
  });
  return { ...reference, account: lists(reference.account), after: lists(reference.after) };
}

/** That all is said so here too, where `certain` leaves of an account what is sure to be. */
export async function expectSame(
  view: View,
  { subject, offers, account, after }: Reference,
  certain = (whole: Account): Account => whole,
): Promise<void> {
  subject.reset();
  expect(certain(await accountOf(view, subject, offers))).toStrictEqual(certain(account));
  // what the calls themselves added to the lists follows by notification
  let last: Afterwards | undefined;
  const caughtUp = async () => {
    last = await afterwards(view, offers);
    return isDeepStrictEqual(last, after);
  };
  await until(caughtUp, { what: 'the same lists after the calls', timeoutMs: 15_000 }).catch(() => expect(last).toStrictEqual(after));
}
