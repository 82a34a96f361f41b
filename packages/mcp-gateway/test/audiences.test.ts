import { setImmediate as turn } from 'node:timers/promises';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { startHttpFixture } from '../../../tests/conformance/processes.ts';
import { Audiences } from '../src/audiences.ts';
import type { ClientQuestion, Principal } from '../src/call.ts';
import type { JsonObject } from '../src/json-rpc.ts';
import type { GuardContext, ServerGuard } from '../src/ports.ts';
import { type Audience, type ServerEntry, Servers, type ServersListener } from '../src/servers.ts';
import { connect } from '../src/wire/connect.ts';
import { HttpPipe } from '../src/wire/http-pipe.ts';
import type { Pipe } from '../src/wire/pipe.ts';
import { keep } from './gateway-over.ts';
import { discovered, never, type Reply, ScriptedPipe, testClient, welcome } from './scripted-pipe.ts';

const direct = { execute: <T>(fn: (context: GuardContext) => Promise<T>, { signal }: { signal: AbortSignal }) => fn({ signal }) };
const guard: ServerGuard = { repeatable: direct, once: direct, state: () => 'closed' };

const quiet: ServersListener = {
  up: () => {},
  down: () => {},
  problem: () => {},
  catalogChanged: () => {},
  collision: () => {},
  notification: () => {},
  bystander: () => undefined,
};

const legacy: Reply = ({ method }) => (method === 'server/discover' ? { error: { code: -32_601, message: 'no' } } : welcome({}));
const modern: Reply = ({ method }) => (method === 'server/discover' ? discovered({}) : { result: {} });

interface World {
  readonly audiences: Audiences;
  readonly opened: Audience[];
  readonly pipes: Pipe[];
  readonly clock: ManualClock;
}

/** Audiences over one server, which is whatever is at the other end of the pipes. */
function world(openPipe: () => Pipe): World {
  const opened: Audience[] = [];
  const pipes: Pipe[] = [];
  const clock = new ManualClock();
  const open = (capabilities: JsonObject): ReturnType<ServerEntry['connect']> => {
    return (listener, signal) => {
      const pipe = () => {
        pipes.push(openPipe());
        return pipes.at(-1) as Pipe;
      };
      return connect({
        server: 'files',
        openPipe: pipe,
        listener,
        clientInfo: { name: 'tidegate', version: '1' },
        capabilities,
        memory: {},
        signal,
      });
    };
  };
  const entry: ServerEntry = {
    name: 'files',
    prefix: 'files__',
    connect: ({ capabilities }) => open(capabilities),
    guard,
    repeatable: () => true,
  };
  const audiences = new Audiences(
    (audience, shared) => {
      opened.push(audience);
      return new Servers(audience, [entry], { connectMs: 5_000, listMs: 5_000 }, quiet, shared);
    },
    false,
    () => clock.now(),
  );
  keep({ [Symbol.asyncDispose]: () => audiences.close() });
  return { audiences, opened, pipes, clock };
}

const member = (tenant: string, user?: string): Principal => ({ tenant, role: 'member', ...(user !== undefined && { user }) });
const elicitation = { elicitation: { form: {} } };

describe('who shares conversations', () => {
  test('clients of a tenant that cannot be asked for anything', async () => {
    const { audiences, opened } = world(() => new ScriptedPipe('stdio', legacy));
    const ann = await audiences.of(member('a', 'ann'), {});
    expect(await audiences.of(member('a', 'bob'), {})).toBe(ann);
    expect(audiences.tenant('a')).toBe(ann);
    expect(await audiences.of(member('b', 'ann'), {})).not.toBe(ann);
    expect(opened).toEqual([
      { tenant: 'a', capabilities: {} },
      { tenant: 'b', capabilities: {} },
    ]);
  });

  test('clients of one user that can be asked for the same, whoever comes first', async () => {
    const { audiences, opened } = world(() => new ScriptedPipe('stdio', legacy));
    const [one, two, other, more] = await Promise.all([
      audiences.of(member('a', 'ann'), { roots: {}, sampling: {} }),
      audiences.of(member('a', 'ann'), { sampling: {}, roots: {} }),
      audiences.of(member('a', 'bob'), { roots: {}, sampling: {} }),
      audiences.of(member('a', 'ann'), elicitation),
    ]);
    expect(two).toBe(one);
    expect(new Set([one, other, more]).size).toBe(3);
    expect(opened).toHaveLength(4);
    expect(await audiences.of(member('a'), elicitation)).not.toBe(more);
    expect(await audiences.of(member('b', 'ann'), elicitation)).not.toBe(more);
  });

  test('users where the server’s requests stand for themselves', async () => {
    const { audiences, pipes } = world(() => new ScriptedPipe('stdio', modern));
    const ann = await audiences.of(member('a', 'ann'), elicitation);
    const bob = await audiences.of(member('a', 'bob'), elicitation);
    await Promise.all([ann.catalog(), bob.catalog()]);
    expect(ann.upstream('files')).toBe(bob.upstream('files'));
    expect(pipes).toHaveLength(1);
  });

  test('users where it does not: each has a conversation that says what they can be asked', async () => {
    const { audiences, pipes } = world(() => new ScriptedPipe('stdio', legacy));
    const ann = await audiences.of(member('a', 'ann'), elicitation);
    const bob = await audiences.of(member('a', 'bob'), elicitation);
    await Promise.all([ann.catalog(), bob.catalog()]);
    expect(ann.upstream('files')).not.toBe(bob.upstream('files'));
    const declared = pipes.map((pipe) => (pipe as ScriptedPipe).requests('initialize')[0]?.params?.['capabilities']);
    expect(declared).toEqual([{}, elicitation, elicitation]);
  });
});

describe('conversations of users', () => {
  const closedOf = ({ pipes }: World) => pipes.map((pipe) => (pipe as ScriptedPipe).closed);

  async function used(known: World, user: string) {
    const servers = await known.audiences.of(member('a', user), elicitation);
    await servers.catalog();
    return servers;
  }

  test('end when they have been idle for ten minutes and another comes; those of the tenant stay', async () => {
    const known = world(() => new ScriptedPipe('stdio', legacy));
    const ann = await used(known, 'ann');
    await known.clock.advance(10 * 60_000);
    const bob = await used(known, 'bob');
    await turn();
    expect(closedOf(known)).toEqual([0, 0, 0]);
    await known.clock.advance(1);
    await used(known, 'cy');
    await turn();
    expect(closedOf(known)).toEqual([0, 1, 0, 0]);
    expect(await used(known, 'bob')).toBe(bob);
    expect(await used(known, 'ann')).not.toBe(ann);
  });

  test('stay while a call is under way', async () => {
    const known = world(() => new ScriptedPipe('stdio', legacy));
    const ann = await used(known, 'ann');
    let end = () => {};
    const call = ann.untilClosed(never(), () => new Promise<void>((resolve) => (end = resolve)));
    await known.clock.advance(11 * 60_000);
    await used(known, 'bob');
    await turn();
    expect(closedOf(known)).toEqual([0, 0, 0]);
    end();
    await call;
  });

  test('are at most 200: one more ends the one that was used longest ago', async () => {
    const known = world(() => new ScriptedPipe('stdio', legacy));
    for (let n = 0; n < 200; n += 1) {
      await used(known, `user-${n}`);
      await known.clock.advance(1);
    }
    await used(known, 'user-0');
    await used(known, 'one more');
    await turn();
    const closed = closedOf(known).flatMap((times, place) => (times > 0 ? [place] : []));
    expect(closed).toEqual([2]); // the first is the tenant's, the second that of user-0
  });

  test('end with all others when everything is closed, and calls with them', async () => {
    const known = world(() => new ScriptedPipe('stdio', legacy));
    const ann = await used(known, 'ann');
    const running = ann.untilClosed(
      never(),
      (signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    running.catch(() => {});
    await known.audiences.close();
    await expect(running).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    expect(closedOf(known)).toEqual([1, 1]);
  });
});

test('calls that are ended together have an error each: what is noted of one is not true of the others', async () => {
  const known = world(() => new ScriptedPipe('stdio', legacy));
  const servers = known.audiences.tenant('a');
  const aborted = (signal: AbortSignal) =>
    new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const outcomes = Promise.allSettled([1, 2].map(() => servers.untilClosed(never(), aborted)));
  await known.audiences.close();
  const reasons = (await outcomes).map((outcome) => (outcome as PromiseRejectedResult).reason);
  expect(reasons).toMatchObject([{ code: 'ERR_CLOSED' }, { code: 'ERR_CLOSED' }]);
  expect(reasons[0]).not.toBe(reasons[1]);
});

describe('questions of a real server to two users of one tenant', () => {
  test.each(['legacy', 'modern'] as const)('reach nobody but the user whose call it is (%s)', async (era) => {
    const { url } = keep(await startHttpFixture(era));
    const { audiences } = world(() => new HttpPipe('files', { url, headers: {} }));
    const calls = Array.from({ length: 24 }, async (_, n) => {
      const user = ['ann', 'bob'][n % 2] as string;
      const servers = await audiences.of(member('a', user), elicitation);
      const mine = `${user}-${n}`;
      const client = testClient({ capabilities: elicitation }, async ({ params }: ClientQuestion) => {
        await turn();
        return { result: { action: 'accept', content: { username: `${mine} was asked ${params['message']}`, email: 'x@example.org' } } };
      });
      const params = { name: 'test_elicitation', arguments: { message: `for ${mine}` } };
      const answer = await servers.upstream('files')?.request('tools/call', params, { signal: never(), client });
      expect(client.asked.map(({ params: { message } }) => message)).toEqual([`for ${mine}`]);
      expect(JSON.stringify(answer)).toContain(`${mine} was asked for ${mine}`);
    });
    await Promise.all(calls);
  });
});
