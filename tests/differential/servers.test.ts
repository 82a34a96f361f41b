import { isDeepStrictEqual } from 'node:util';
import { createGateway } from '@tidegate/mcp-gateway';
import { tempDir, until } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import {
  type Account,
  type Afterwards,
  accountOf,
  afterwards,
  asModernLibraryGives,
  expectWhole,
  type Offers,
  type Outcome,
  offersOf,
  type View,
} from './account.ts';
import { type ClientKind, clientKinds, directKindOf } from './clients.ts';
import { type Subject, type SubjectName, subjectNames, subjectOf } from './subjects.ts';

interface Reference {
  readonly subject: Subject;
  readonly offers: Offers;
  readonly account: Account;
  readonly after: Afterwards;
}

const references = new Map<string, Promise<Reference>>();
const subjects = new Map<SubjectName, Subject>();

const keep = <T extends AsyncDisposable>(thing: T): T => {
  onTestFinished(() => thing[Symbol.asyncDispose]());
  return thing;
};

async function ask(name: SubjectName, kind: ClientKind): Promise<Reference> {
  const subject = subjects.get(name) ?? subjectOf(name);
  subjects.set(name, subject);
  subject.reset();
  await using peer = await kind.connect(subject.command);
  const view: View = { peer, prefix: '', era: 'legacy' };
  const offers = offersOf(view);
  return { subject, offers, account: await accountOf(view, subject, offers), after: await afterwards(view, offers) };
}

/** What the server itself answers a client of this kind; each is asked once. */
function reference(name: SubjectName, kind: ClientKind): Promise<Reference> {
  const key = `${name} ${kind.name}`;
  const known = references.get(key) ?? ask(name, kind);
  references.set(key, known);
  return known;
}

async function throughGateway({ name, command }: Subject, kind: ClientKind): Promise<View> {
  const dataDir = keep(tempDir('gateway-')).path;
  const gateway = keep(await createGateway({ dataDir, limits: [], mcpServers: { [name]: command } }));
  const fetch = (url: string | URL | Request, init?: RequestInit) => gateway.fetch(new Request(url, init));
  const peer = keep(await kind.connect({ url: new URL('http://127.0.0.1/mcp'), fetch }));
  return { peer, prefix: `${name}__`, era: kind.era };
}

const asSeenBy = <T extends { lists: Record<string, Outcome> }>({ era }: ClientKind, told: T): T =>
  era === 'legacy' ? told : { ...told, lists: asModernLibraryGives(told.lists) };

const cases = subjectNames.flatMap((name) => clientKinds.map((kind) => [name, kind.name, kind] as const));

test.each(cases)('server-%s through the gateway is what it is without, to %s', async (name, _, kind) => {
  const { subject, offers, account, after } = await reference(name, directKindOf(kind));
  expectWhole(account, subject);
  subject.reset();
  const view = await throughGateway(subject, kind);
  expect(await accountOf(view, subject, offers)).toEqual(asSeenBy(kind, account));
  // what the calls themselves added to the lists follows by notification
  let last: unknown;
  const caughtUp = async () => {
    last = await afterwards(view, offers);
    return isDeepStrictEqual(last, asSeenBy(kind, after));
  };
  await until(caughtUp, { what: 'the same lists after the calls' }).catch(() => expect(last).toEqual(asSeenBy(kind, after)));
});
