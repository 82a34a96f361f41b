import { createGateway } from '@tidegate/mcp-gateway';
import { tempDir } from '@tidegate/test-kit';
import { onTestFinished, test } from 'vitest';
import { asModernLibraryGives, type View } from './account.ts';
import { type ClientKind, clientKinds, directKindOf } from './clients.ts';
import { expectSame, type Reference, referenceOf, withTools } from './reference.ts';
import { type Subject, type SubjectName, subjectNames, subjectOf } from './subjects.ts';

const subjects = new Map(subjectNames.map((name) => [name, subjectOf(name)]));
const references = new Map<string, Promise<Reference>>();

const keep = <T extends AsyncDisposable>(thing: T): T => {
  onTestFinished(() => thing[Symbol.asyncDispose]());
  return thing;
};

/** What the server itself answers a client of this kind; each is asked once. */
function reference(name: SubjectName, kind: ClientKind): Promise<Reference> {
  const key = `${name} ${directKindOf(kind).name}`;
  const known = references.get(key) ?? referenceOf(subjects.get(name) as Subject, kind);
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

const cases = subjectNames.flatMap((name) => clientKinds.map((kind) => [name, kind.name, kind] as const));

test.each(cases)('server-%s through the gateway is what it is without, to %s', async (name, _, kind) => {
  const direct = await reference(name, kind);
  const view = await throughGateway(direct.subject, kind);
  await expectSame(view, kind.era === 'legacy' ? direct : withTools(direct, asModernLibraryGives));
});
