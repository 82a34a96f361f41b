import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks';
import { createGateway } from '@tidegate/mcp-gateway';
import { tempDir, until } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import { asModernLibraryGives, listsOf, type Outcome, outcomeOf, type View } from './account.ts';
import { type ClientKind, clientKinds, directKindOf, sdk1 } from './clients.ts';
import type { Answers, Questions } from './questions.ts';
import { type Arguments, subjectOf } from './subjects.ts';

type Call = readonly [name: string, args: Arguments];

const roots = ['get-roots-list', {}] as const;
const addressFirst = ['trigger-url-elicitation', { url: 'https://example.com/pay', elicitationId: 'pay-1', errorPath: true }] as const;

interface Told {
  readonly lists: Record<string, Outcome>;
  readonly calls: Outcome[];
  readonly questions: Questions;
}

const everything = subjectOf('everything');

const keep = <T extends AsyncDisposable>(thing: T): T => {
  onTestFinished(() => thing[Symbol.asyncDispose]());
  return thing;
};

/** The answers of a user who accepts, declines and cancels forms in turn, and opens every address. */
function user(): Answers {
  const content = { name: 'Mina', check: true, integer: 7, untitledMultipleSelectEnum: ['Piano', 'Bass'] };
  const forms = [{ action: 'accept', content }, { action: 'decline' }, { action: 'cancel' }];
  return {
    'sampling/createMessage': { role: 'assistant', model: 'none', stopReason: 'endTurn', content: { type: 'text', text: '밀물' } },
    'elicitation/create': ({ mode }) => (mode === 'url' ? { action: 'accept' } : (forms.shift() ?? { action: 'cancel' })),
    'roots/list': { roots: [{ uri: 'file:///srv/tides', name: 'tides' }] },
  };
}

async function told(view: View, calls: readonly Call[]): Promise<Told> {
  const lists = await listsOf(view, { resources: true, prompts: true });
  // this server asks for roots a moment after the handshake, outside any call, where the revision lets it
  if (view.era === 'legacy') await until(() => view.peer.questions.length > 0, { what: 'the question for roots' });
  const outcomes: Outcome[] = [];
  for (const [name, args] of calls) outcomes.push(await outcomeOf(view, 'tools/call', { name: view.prefix + name, arguments: args }));
  return { lists, calls: outcomes, questions: [...view.peer.questions] };
}

async function directly(kind: ClientKind, calls: readonly Call[], tasks?: InMemoryTaskStore): Promise<Told> {
  const peer = keep(await kind.connect(everything.command, user(), tasks));
  return told({ peer, prefix: '', era: 'legacy' }, calls);
}

async function throughGateway(kind: ClientKind, calls: readonly Call[], tasks?: InMemoryTaskStore): Promise<Told> {
  const dataDir = keep(tempDir('gateway-')).path;
  const gateway = keep(await createGateway({ dataDir, limits: [], mcpServers: { everything: everything.command } }));
  const fetch = (url: string | URL | Request, init?: RequestInit) => gateway.fetch(new Request(url, init));
  const peer = keep(await kind.connect({ url: new URL('http://127.0.0.1/mcp'), fetch }, user(), tasks));
  return told({ peer, prefix: 'everything__', era: kind.era }, calls);
}

const calls: readonly Call[] = [
  roots,
  ['trigger-sampling-request', { prompt: 'When is high water?', maxTokens: 20 }],
  ['trigger-elicitation-request', {}],
  ['trigger-elicitation-request', {}],
  ['trigger-elicitation-request', {}],
  ['trigger-url-elicitation', { url: 'https://example.com/sign-in', message: 'Sign in, please.', elicitationId: 'sign-in-1' }],
  addressFirst, // refused until another address was opened
];

const references = new Map<ClientKind, Promise<Told>>();

/** What the server itself tells and asks a client that makes the last call again when it has done what the refusal wants. */
function reference(kind: ClientKind): Promise<Told> {
  const direct = directKindOf(kind);
  const known = references.get(direct) ?? directly(direct, [...calls, addressFirst]);
  references.set(direct, known);
  return known;
}

/** The same as a client of 2026-07-28 is to see it. */
function inModern({ lists, calls, questions }: Told): Told {
  const refusal = calls.at(-2) as Outcome;
  const { elicitations } = (refusal.wire as { error: { data: { elicitations: Record<string, unknown>[] } } }).error.data;
  // Client Features, Elicitation: there is no error that asks. What it wants is asked like all else, and the call is made again.
  const wanted = elicitations.map((params) => ({ method: 'elicitation/create', params }));
  const asked = [...questions.slice(0, -1), ...wanted, ...questions.slice(-1)];
  // ... nor an `elicitationId`: the answer itself says when it is done
  const unnamed = asked.map(({ method, params: { elicitationId, ...params } }) => ({ method, params }));
  return {
    lists: { ...lists, tools: asModernLibraryGives(lists['tools'] as Outcome) },
    calls: calls.filter((call) => call !== refusal),
    questions: unnamed,
  };
}

const kinds = clientKinds.map((kind) => [kind.name, kind] as const);

test.each(kinds)('server-everything asks %s the same through the gateway, and makes the same of the answers', async (_, kind) => {
  const expected = await reference(kind);
  const asked = expected.questions.map(({ method }) => method);
  expect(asked).toEqual(['roots/list', 'sampling/createMessage', ...Array(5).fill('elicitation/create')]);
  const failed = expected.calls.filter(({ wire }) => !('result' in (wire as object)));
  expect(failed).toEqual([expected.calls.at(-2)]);
  if (kind.era === 'legacy') expect(await throughGateway(kind, [...calls, addressFirst])).toStrictEqual(expected);
  else expect(await throughGateway(kind, calls)).toStrictEqual(inModern(expected));
});

test('server-everything asks SDK v1 for answers in tasks through the gateway as it does without', async () => {
  const inTasks: readonly Call[] = [
    roots,
    ['trigger-sampling-request-async', { prompt: 'When is low water?', maxTokens: 20 }],
    ['trigger-elicitation-request-async', {}],
  ];
  const [expected, seen] = await Promise.all([
    directly(sdk1, inTasks, new InMemoryTaskStore()),
    throughGateway(sdk1, inTasks, new InMemoryTaskStore()),
  ]);
  expect(expected.calls.slice(1).map(({ wire }) => JSON.stringify(wire).includes('[COMPLETED]'))).toEqual([true, true]);
  expect(seen).toStrictEqual(expected);
});
