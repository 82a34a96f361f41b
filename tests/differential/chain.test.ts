import { expect, test } from 'vitest';
import { type Account, withoutExecution } from './account.ts';
import { mcpProxy, openToOthers, supergateway, tidegate } from './chain.ts';
import { type ClientKind, directKindOf, legacyKinds, modernKinds } from './clients.ts';
import { expectSame, type Reference, referenceOf, withTools } from './reference.ts';
import { type SubjectName, subjectOf } from './subjects.ts';

const [sdk1, sdk2] = legacyKinds as [ClientKind, ClientKind];
const [, pinned] = modernKinds as [ClientKind, ClientKind];

// most of the time is spent waiting for processes to start and end: these run side by side
const patience = { timeout: 120_000, concurrent: true };

/** What mcp-proxy leaves of what a server says where it is spoken to in 2026-07-28: its library knows the members of that revision alone. */
const inModern = (direct: Reference): Reference =>
  withTools(direct, ({ given, wire, progress }) => ({ given: withoutExecution(given), wire: withoutExecution(wire), progress }));

/**
 * mcp-proxy may lose the last progress before a result, because its library forgets who waits for progress as soon as the result
 * is there: of the four notifications of server-everything three are sure to come.
 */
function certain(whole: Account): Account {
  return { ...whole, calls: whole.calls.map(([name, { progress, ...rest }]) => [name, { ...rest, progress: progress.slice(0, 3) }]) };
}

const references = new Map<string, Promise<Reference>>();

/** What a server itself says; each is asked once by each kind of client. */
function reference(name: SubjectName, kind: ClientKind): Promise<Reference> {
  const key = `${name} ${directKindOf(kind).name}`;
  const known = references.get(key) ?? referenceOf(subjectOf(name), kind);
  references.set(key, known);
  return known;
}

test('what server-everything says comes through mcp-proxy alone, but for `execution` and the last progress', patience, async () => {
  const direct = await reference('everything', pinned);
  await using proxy = await mcpProxy(direct.subject.command);
  await using peer = await pinned.connect({ url: proxy.url });
  await expectSame({ peer, prefix: '', era: 'modern' }, inModern(direct), certain);
});

test('what server-everything says comes through supergateway alone', patience, async () => {
  const direct = await reference('everything', sdk2);
  await using bridge = await supergateway(direct.subject.command);
  await using peer = await sdk2.connect({ url: bridge.url });
  await expectSame({ peer, prefix: '', era: 'legacy' }, direct);
});

const both: readonly string[] = [];
const olderOnly = ['--no-modern'];

const cases = [
  // the gateway speaks 2026-07-28 to an mcp-proxy that can
  ['everything', sdk2, both],
  ['filesystem', sdk1, olderOnly],
  ['memory', sdk2, olderOnly],
  // supergateway starts a gateway for each request of 2026-07-28, so that it is the short account
  ['sequential-thinking', pinned, both],
] as const satisfies readonly (readonly [SubjectName, ClientKind, readonly string[]])[];

test.each(cases.map(([name, kind, options]) => [name, kind.name, options, kind] as const))(
  'what server-%s says to %s comes through supergateway, the gateway and mcp-proxy %j as through mcp-proxy alone',
  patience,
  async (name, _, options, kind) => {
    const direct = await reference(name, kind);
    await using proxy = await mcpProxy(direct.subject.command, options);
    await using bridge = await supergateway(tidegate(direct.subject, proxy.url));
    expect(await Promise.all([openToOthers(proxy.port), openToOthers(bridge.port)])).toEqual([[], []]);
    await using peer = await kind.connect({ url: bridge.url });
    await expectSame({ peer, prefix: `${name}__`, era: kind.era }, options === both ? inModern(direct) : direct, certain);
  },
);
