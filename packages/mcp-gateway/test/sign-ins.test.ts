import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Answer } from '../src/call.ts';
import { type Challenge, Credential, type OAuthServer } from '../src/oauth/credential.ts';
import { SignInRequiredError, signedIn } from '../src/oauth/sign-in-required.ts';
import { SignIns } from '../src/oauth/sign-ins.ts';
import { connectSigningIn, type Open } from '../src/oauth/signing-in.ts';
import type { RefusedError } from '../src/refusal.ts';
import type { Connection, ConnectionListener } from '../src/wire/connection.ts';
import { refusedWith } from './gateway-over.ts';
import { never, testClient } from './scripted-pipe.ts';

const minute = 60_000;
const url = new URL('https://vault.example/mcp');
const as = 'https://as.example';
const challenge: Challenge = { status: 401, wwwAuthenticate: 'Bearer', from: '203.0.113.1', renewed: false };
const urlClient = { capabilities: { elicitation: { url: {} } } };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Whether private addresses were reached for. */
const reached: boolean[] = [];

/** Answers of an authorization server, token requests by `token`. */
function answers(token: (form: URLSearchParams) => Promise<object> | object): OAuthServer['fetch'] {
  const metadata = {
    issuer: as,
    authorization_endpoint: `${as}/authorize`,
    token_endpoint: `${as}/token`,
    response_types_supported: ['code'],
    code_challenge_methods_supported: ['S256'],
  };
  return ({ internal }) =>
    async (input, init) => {
      reached.push(internal);
      const { pathname } = new URL(String(input));
      if (pathname === '/token') return Response.json(await token(new URLSearchParams(String(init?.body))));
      return Response.json(pathname.includes('protected-resource') ? { resource: url.href, authorization_servers: [as] } : metadata);
    };
}

/** The sign-ins of a gateway, and credentials that go through them without a network. */
function desk(token: (form: URLSearchParams) => Promise<object> | object = () => ({ access_token: 'a-1', token_type: 'Bearer' })) {
  const told: string[] = [];
  const tell = (what: string) => (of: Credential, reason?: string) =>
    void told.push([what, of.owner.user, reason].filter(Boolean).join(' '));
  const listener = { needed: tell('needed'), done: tell('done'), failed: tell('failed') };
  const signIns = new SignIns('https://gate.example', listener, () => performance.now());
  const config = { clientId: 'gate', issuer: as };
  const server: OAuthServer = { name: 'vault', url, config, registrations: new Map(), fetch: answers(token) };
  const credentialOf = (user: string) => new Credential(server, { tenant: 'acme', user }, signIns);
  const go = async (credential: Credential) => {
    const id = idOf(signIns, credential);
    const { state } = await signIns.begin(id);
    return signIns.finish({ query: new URLSearchParams({ code: 'c', state }), state });
  };
  return { signIns, told, credentialOf, go };
}

function idOf(signIns: SignIns, credential: Credential): string {
  return String(signIns.pending(credential)?.url?.split('/').at(-1));
}

describe('a link', () => {
  test('is valid for ten minutes from when it was last given out', async () => {
    const { signIns, credentialOf, told } = desk();
    const ann = credentialOf('ann');
    const id = idOf(signIns, ann);
    await vi.advanceTimersByTimeAsync(9 * minute);
    expect(idOf(signIns, ann)).toBe(id);
    await vi.advanceTimersByTimeAsync(9 * minute);
    expect(signIns.find(id)).toBe(ann);
    await vi.advanceTimersByTimeAsync(minute);
    expect(signIns.find(id)).toBeUndefined();
    await expect(signIns.begin(id)).rejects.toThrow('the link is no longer valid');
    expect(idOf(signIns, ann)).not.toBe(id);
    expect(told).toEqual(['needed ann', 'needed ann']);
  });

  test('leads back for ten minutes from when a browser began, whoever is given it meanwhile', async () => {
    const { signIns, credentialOf } = desk();
    const ann = credentialOf('ann');
    const id = idOf(signIns, ann);
    await vi.advanceTimersByTimeAsync(9 * minute);
    const { state } = await signIns.begin(id);
    const query = new URLSearchParams({ code: 'c', state });
    await vi.advanceTimersByTimeAsync(9 * minute);
    idOf(signIns, ann);
    await vi.advanceTimersByTimeAsync(minute + 1);
    await expect(signIns.finish({ query, state })).rejects.toThrow(/no sign-in was begun in this browser, or it is over/);
    const again = await signIns.begin(id);
    await signIns.finish({ query: new URLSearchParams({ code: 'c', state: again.state }), state: again.state });
    expect(ann.header).toBe('Bearer a-1');
  });

  test('is for one user; there are at most a thousand, the oldest goes first', () => {
    const { signIns, credentialOf } = desk();
    const ids = Array.from({ length: 1_001 }, (_, n) => idOf(signIns, credentialOf(`user-${n}`)));
    expect(new Set(ids).size).toBe(1_001);
    expect([signIns.find(ids[0] as string), signIns.find(ids[1] as string)?.owner.user]).toEqual([undefined, 'user-1']);
  });

  test('is none after closing, and nobody waits for it', async () => {
    const { signIns, credentialOf, told } = desk();
    const ann = credentialOf('ann');
    const wait = signIns.pending(ann)?.done(never());
    wait?.catch(() => {});
    signIns.close();
    await expect(wait).rejects.toThrow('the gateway is closing');
    await expect(signIns.pending(ann)?.done(never())).rejects.toThrow('the gateway is closing');
    expect(told).toEqual(['needed ann']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is given to nobody whose refusal only hides a list', async () => {
    const { credentialOf, told } = desk();
    const ann = credentialOf('ann');
    const open: Open = async () => {
      await ann.refused(undefined, challenge);
      throw new Error('unreachable');
    };
    const connection = await connectSigningIn(ann, open, quiet(), never());
    expect(await connection.request('tools/list', {}, { signal: never() })).toMatchObject({ result: { tools: [{ name: 'sign_in' }] } });
    expect(told).toEqual([]);
  });
});

describe('waiting for a sign-in', () => {
  test('ends with its caller, and leaves the others waiting', async () => {
    const { signIns, credentialOf, go } = desk();
    const ann = credentialOf('ann');
    const leaving = new AbortController();
    const [one, two] = [signIns.pending(ann)?.done(leaving.signal), signIns.pending(ann)?.done(never())];
    leaving.abort(new Error('gone'));
    await expect(one).rejects.toThrow('gone');
    await go(ann);
    await two;
    expect(signIns.pending(ann)).toBeUndefined();
  });

  test('is over at once where it ended before anybody waited', async () => {
    const { signIns, credentialOf, go } = desk();
    const ann = credentialOf('ann');
    const pending = signIns.pending(ann);
    await go(ann);
    await pending?.done(never());
  });

  test('ends when its time is over', async () => {
    const { signIns, credentialOf } = desk();
    const wait = signIns.pending(credentialOf('ann'))?.done(never());
    const outcome = expect(wait).rejects.toThrow('it was not gone through in time');
    await vi.advanceTimersByTimeAsync(10 * minute);
    await outcome;
  });

  test('is not begun for a client that is gone while it is asked', async () => {
    const { credentialOf } = desk();
    const leaving = new AbortController();
    const client = testClient(urlClient, () => new Promise<Answer>(() => leaving.abort(new Error('gone'))));
    const call = signedIn(client, leaving.signal, () => Promise.reject(credentialOf('ann').required()));
    await expect(call).rejects.toThrow('gone');
  });

  test.each(['accept', 'decline'])('is not needed where another window has been through meanwhile: %s', async (action) => {
    const { credentialOf, go } = desk();
    const ann = credentialOf('ann');
    const client = testClient(urlClient, async () => {
      await go(ann);
      return { result: { action } };
    });
    const answer = { result: { ok: true } };
    expect(await signedIn(client, never(), async () => (ann.signedIn ? answer : Promise.reject(ann.required())))).toBe(answer);
  });

  test('is refused with the way out where the gateway has no address', async () => {
    const error = await refusedWith(
      signedIn(testClient(urlClient), never(), () =>
        Promise.reject(new SignInRequiredError('vault', () => ({ url: undefined, done: async () => {} }))),
      ),
    );
    expect(error).toMatchObject({ code: 'ERR_SIGN_IN_REQUIRED', message: expect.stringContaining('needs publicUrl') });
    expect((error as RefusedError).refusal.details).toBeUndefined();
  });

  test('fails with the error code of the authorization server, and nothing else that it says', async () => {
    const { signIns, credentialOf, told } = desk(() => Promise.reject(Object.assign(new Error('secret'), { name: 'SyntaxError' })));
    const wait = signIns.pending(credentialOf('ann'))?.done(never());
    wait?.catch(() => {});
    const ann = credentialOf('bob');
    const { state } = await signIns.begin(idOf(signIns, ann));
    await expect(signIns.finish({ query: new URLSearchParams({ code: 'c', state }), state })).rejects.toThrow(/cannot be read/);
    expect(told.at(-1)).toBe('failed bob the authorization server gave an answer that cannot be read');
  });
});

describe('a credential', () => {
  const tokens = (name: string) => ({ access_token: name, refresh_token: `${name}-r`, token_type: 'Bearer' });

  /** A credential whose renewal waits to be let go. */
  async function renewing() {
    const held: (() => void)[] = [];
    let renewal: () => object = () => tokens('renewed');
    let signedInAs = 'first';
    const world = desk(async (form) => {
      if (form.get('grant_type') !== 'refresh_token') return tokens(signedInAs);
      await new Promise<void>((resolve) => held.push(resolve));
      return renewal();
    });
    const ann = world.credentialOf('ann');
    await world.go(ann);
    const refused = ann.refused('Bearer first', challenge);
    refused.catch(() => {});
    await vi.waitFor(() => expect(held).toHaveLength(1));
    return {
      ...world,
      ann,
      refused,
      signInAgain: async (name: string) => {
        signedInAs = name;
        await ann.refused('Bearer first', { ...challenge, renewed: true }).catch(() => {}); // another call's, sent again
        await world.go(ann);
      },
      end: (how: () => object) => {
        renewal = how;
        for (const go of held) go();
      },
    };
  }

  test('that a person has brought stays, though a renewal succeeds later', async () => {
    const { ann, refused, signInAgain, end } = await renewing();
    await signInAgain('second');
    end(() => tokens('renewed'));
    expect(await refused).toBe(true);
    expect(ann.header).toBe('Bearer second');
  });

  test('that a person has brought stays, though a renewal fails later', async () => {
    const { ann, refused, signInAgain, end } = await renewing();
    await signInAgain('second');
    end(() => ({ error: 'invalid_grant' }));
    expect(await refused).toBe(true);
    expect(ann.header).toBe('Bearer second');
  });

  test('that is gone is asked for by every call that was sent with it', async () => {
    const { ann, refused, end } = await renewing();
    end(() => ({ error: 'invalid_grant' }));
    await expect(refused).rejects.toBeInstanceOf(SignInRequiredError);
    await expect(ann.refused('Bearer first', challenge)).rejects.toBeInstanceOf(SignInRequiredError);
  });

  test.each<[string | undefined, boolean]>([
    ['203.0.113.1', false],
    ['::ffff:203.0.113.1', false],
    [undefined, false],
    ['127.0.0.1', true],
    ['::ffff:10.0.0.1', true],
    ['fd00::1', true],
  ])('reaches for private addresses only where it was refused by one: %s', async (from, internal) => {
    const { credentialOf, go } = desk();
    const ann = credentialOf('ann');
    reached.length = 0;
    await expect(ann.refused(undefined, { ...challenge, from })).rejects.toBeInstanceOf(SignInRequiredError);
    await go(ann);
    expect(reached.length).toBeGreaterThan(2);
    expect(new Set(reached)).toEqual(new Set([internal]));
  });

  test('which could not be sent is none', async () => {
    const { credentialOf, go } = desk(() => ({ access_token: 'a\r\nx: y', token_type: 'Bearer' }));
    const ann = credentialOf('ann');
    await expect(go(ann)).rejects.toThrow('a token that cannot be sent');
    expect(ann.header).toBeUndefined();
  });
});

const quiet = (): ConnectionListener => ({ notification: () => {}, problem: () => {}, closed: () => {}, bystander: () => undefined });

describe('a conversation that several wait for', () => {
  function opening() {
    const signals: AbortSignal[] = [];
    let closed = 0;
    let open: (connection: Connection) => void = () => {};
    const { credentialOf } = desk();
    const ann = credentialOf('ann');
    let first = true;
    const connect: Open = (_listener, signal) => {
      if (first) {
        first = false;
        return Promise.reject(ann.required()); // what a gateway meets when it starts
      }
      signals.push(signal);
      return new Promise((resolve, reject) => {
        open = resolve;
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    };
    const inner: Connection = {
      description: { serverInfo: {}, capabilities: {} },
      stateless: false,
      request: async () => ({ result: { tools: [] } }),
      watch: async () => {},
      close: async () => {
        closed += 1;
      },
    };
    return { connect, ann, signals, open: () => open(inner), closed: () => closed };
  }

  test('goes on being opened when one of them leaves, and ends when all have', async () => {
    const { connect, ann, signals, open } = opening();
    const connection = await connectSigningIn(ann, connect, quiet(), never());
    const leaving = new AbortController();
    const one = connection.request('tools/call', { name: 'x' }, { signal: leaving.signal });
    const two = connection.request('tools/call', { name: 'x' }, { signal: never() });
    leaving.abort(new Error('gone'));
    await expect(one).rejects.toThrow('gone');
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    open();
    expect(await two).toEqual({ result: { tools: [] } });
  });

  test('is given up when all have left, and opened again for the next', async () => {
    const { connect, ann, signals, open } = opening();
    const connection = await connectSigningIn(ann, connect, quiet(), never());
    const leaving = new AbortController();
    const one = connection.request('tools/call', { name: 'x' }, { signal: leaving.signal });
    leaving.abort(new Error('gone'));
    await expect(one).rejects.toThrow('gone');
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    const two = connection.request('tools/call', { name: 'x' }, { signal: never() });
    open();
    expect(await two).toEqual({ result: { tools: [] } });
  });

  test('is closed with those who wait, and what is opened all the same is closed', async () => {
    const { connect, ann, signals } = opening();
    const connection = await connectSigningIn(ann, connect, quiet(), never());
    const one = connection.request('tools/call', { name: 'x' }, { signal: never() });
    one.catch(() => {});
    await connection.close();
    await expect(one).rejects.toThrow("server 'vault' was disconnected");
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });
});
