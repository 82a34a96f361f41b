import { expect } from 'vitest';
import type { Method, Peer } from './clients.ts';
import { withoutAdditions, withoutAdditionsGiven } from './eras.ts';
import type { Subject } from './subjects.ts';

/** A peer and how it calls what the server has: through the gateway its names carry a prefix. */
export interface View {
  readonly peer: Peer;
  readonly prefix: string;
  readonly era: 'legacy' | 'modern';
}

/** What came of a request: to the library's caller, and on the wire. */
export interface Outcome {
  readonly given: unknown;
  readonly wire: unknown;
  readonly progress: unknown[];
}

const passing = [
  /\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d{2} \d{4} \d{2}:\d{2}:\d{2} GMT[+-]\d{4} \([^)]*\)/g,
  /\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z/g,
  /\b\d{1,2}:\d{2}:\d{2}(?: [AP]M)?/g,
  /\b[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}\b/g,
  /(?<=Task created: |\\?"taskId\\?": \\?")[\da-f]{32}\b/g,
];

/** The same with what differs each time masked, in base64 too: dates, times of day, random names. */
export function lasting(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((entry) => lasting(entry));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, lasting(entry, name)]));
  }
  if (typeof value !== 'string') return value;
  const text = key === 'blob' ? Buffer.from(value, 'base64').toString('latin1') : value;
  return passing.reduce((masked, pattern) => masked.replace(pattern, '<passing>'), text);
}

/** A list with the server's own names. */
function unprefixed(value: unknown, member: string, prefix: string): unknown {
  const { [member]: entries, ...rest } = value as Record<string, { name: string }[]>;
  const named = (entries as { name: string }[]).map((entry) => {
    expect(entry.name.startsWith(prefix)).toBe(true);
    return { ...entry, name: entry.name.slice(prefix.length) };
  });
  return { ...rest, [member]: named };
}

/** Makes a request and tells all that came of it, in the words of the revisions up to 2025-11-25. */
export async function outcomeOf({ peer, era }: View, method: Method, params: Record<string, unknown>): Promise<Outcome> {
  const given = await peer.request(method, params).then(
    (result) => ({ result: era === 'legacy' ? result : withoutAdditionsGiven(method, result) }),
    ({ code, message, data }) => ({ error: { code, message, data } }),
  );
  const { response, progress } = peer.wire.take();
  if (response === undefined) throw new Error(`nothing came back to ${method}`);
  const { result } = response;
  const wire = era === 'legacy' || result === undefined ? response : { result: withoutAdditions(method, result) };
  return { given: lasting(given), wire: lasting(wire), progress };
}

async function list(view: View, method: Method, member: string): Promise<Outcome> {
  const outcome = await outcomeOf(view, method, {});
  const named = (part: unknown) => {
    const { result } = part as { result: unknown };
    return member === 'tools' || member === 'prompts' ? unprefixed(result, member, view.prefix) : result;
  };
  return { ...outcome, given: named(outcome.given), wire: named(outcome.wire) };
}

/**
 * A list of tools as the library hands it out under revision 2026-07-28, whose tools have no `execution`: tasks are an extension
 * there. On the wire the member is still the server's.
 */
export const asModernLibraryGives = (tools: Outcome): Outcome => ({ ...tools, given: withoutExecution(tools.given) });

/** A list of tools without the member that revision 2026-07-28 no longer has. */
export function withoutExecution(result: unknown): unknown {
  const { tools, ...rest } = result as { tools: Record<string, unknown>[] };
  return { ...rest, tools: tools.map(({ execution, ...tool }) => tool) };
}

const entriesOf = <T>({ wire }: Outcome, member: string) => (wire as Record<string, T[]>)[member] ?? [];

/** What there is to list. */
export interface Offers {
  readonly resources: boolean;
  readonly prompts: boolean;
}

/** What a server itself says that there is to list. */
export function offersOf({ peer }: View): Offers {
  return { resources: peer.capabilities['resources'] !== undefined, prompts: peer.capabilities['prompts'] !== undefined };
}

export async function listsOf(view: View, { resources, prompts }: Offers): Promise<Record<string, Outcome>> {
  return {
    tools: await list(view, 'tools/list', 'tools'),
    ...(resources && {
      resources: await list(view, 'resources/list', 'resources'),
      templates: await list(view, 'resources/templates/list', 'resourceTemplates'),
    }),
    ...(prompts && { prompts: await list(view, 'prompts/list', 'prompts') }),
  };
}

type Reads = (readonly [uri: string, outcome: Outcome])[];

async function readsOf(view: View, lists: Record<string, Outcome>, others: readonly string[]): Promise<Reads> {
  const listed = lists['resources'] === undefined ? [] : entriesOf<{ uri: string }>(lists['resources'], 'resources').map(({ uri }) => uri);
  const reads: Reads = [];
  for (const uri of [...listed, ...others]) reads.push([uri, await outcomeOf(view, 'resources/read', { uri })]);
  return reads;
}

/** Everything that a server answers to what a subject is asked. */
export interface Account {
  readonly lists: Record<string, Outcome>;
  readonly reads: Reads;
  readonly prompts: (readonly [name: string, outcome: Outcome])[];
  readonly completions: Outcome[];
  readonly calls: (readonly [name: string, outcome: Outcome])[];
}

export async function accountOf(view: View, subject: Subject, offers: Offers): Promise<Account> {
  const { prefix } = view;
  const lists = await listsOf(view, offers);
  const account: Account = { lists, reads: await readsOf(view, lists, subject.resources), prompts: [], completions: [], calls: [] };
  for (const { name } of lists['prompts'] === undefined ? [] : entriesOf<{ name: string }>(lists['prompts'], 'prompts')) {
    const args = subject.prompts[name] ?? {};
    account.prompts.push([name, await outcomeOf(view, 'prompts/get', { name: prefix + name, arguments: args })]);
  }
  for (const { ref, ...rest } of subject.completions) {
    const named = ref['type'] === 'ref/prompt' ? { ...ref, name: `${prefix}${ref['name']}` } : ref;
    account.completions.push(await outcomeOf(view, 'completion/complete', { ref: named, ...rest }));
  }
  for (const [name, args] of subject.tools) {
    account.calls.push([name, await outcomeOf(view, 'tools/call', { name: prefix + name, arguments: args })]);
  }
  return account;
}

/** What there is to list and to read after the calls, which may have added to it. */
export interface Afterwards {
  readonly lists: Record<string, Outcome>;
  readonly reads: Reads;
}

export async function afterwards(view: View, offers: Offers): Promise<Afterwards> {
  const lists = await listsOf(view, offers);
  return { lists, reads: await readsOf(view, lists, []) };
}

/** That an account tells of all that the subject has, so that nothing is equal because it is empty. */
export function expectWhole({ lists, reads, prompts, calls }: Account, subject: Subject): void {
  const tools = entriesOf<{ name: string }>(lists['tools'] as Outcome, 'tools').map(({ name }) => name);
  const progress = calls.flatMap(([, outcome]) => outcome.progress).length;
  expect({ tools: tools.length, reads: reads.length, prompts: prompts.length, calls: calls.length, progress }).toEqual(subject.size);
  expect([...new Set(subject.tools.map(([name]) => name))].sort()).toEqual(tools.sort());
  const failed = calls.filter(
    ([, { wire }]) => !('result' in (wire as object)) || (wire as { result: { isError?: boolean } }).result.isError,
  );
  expect(failed.map(([name]) => name)).toEqual(subject.failing);
}
