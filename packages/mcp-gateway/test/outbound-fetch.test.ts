import { lookup } from 'node:dns/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { isInternal, outboundFetch } from '../src/oauth/outbound-fetch.ts';
import { keep } from './gateway-over.ts';
import { never } from './scripted-pipe.ts';

vi.mock('node:dns/promises', async (original) => ({ ...(await original<object>()), lookup: vi.fn() }));

const names = vi.mocked(lookup);
beforeEach(() => void names.mockReset().mockRejectedValue(new Error('no name is looked up here')));

/** What every name means from now on, one answer after the other. */
function mean(...answers: string[][]): void {
  for (const addresses of answers)
    names.mockResolvedValueOnce(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })) as never);
}

/** A web server on this machine. */
async function listening(answer: RequestListener): Promise<{ url: string; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  keep({
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const inside = (bounds?: { ms: number; bytes: number }) => outboundFetch({ internal: true, signal: never() }, bounds);
const outside = () => outboundFetch({ internal: false, signal: never() });

describe('internal', () => {
  const isSo = [
    ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.127.255.255', '127.0.0.1', '127.255.0.1', '169.254.169.254'],
    ...['172.16.0.1', '172.31.255.255', '192.0.0.8', '192.168.1.1', '198.18.0.1', '198.19.255.255', '224.0.0.1', '240.0.0.1'],
    ...['255.255.255.255', '::', '::1', '::127.0.0.1', '::7f00:1', '::ffff:127.0.0.1', '::FFFF:10.0.0.1', '::ffff:7f00:1'],
    ...['::ffff:a00:1', '0:0:0:0:0:ffff:c0a8:0101', '::ffff:0:7f00:1', '64:ff9b::7f00:1', '64:ff9b:1::a00:1', '2002:7f00:1::'],
    ...['2001::1', 'fc00::1', 'fdff::1', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1', 'ff02::1'],
  ];
  test.each(isSo)('%s is', (address) => expect(isInternal(address)).toBe(true));

  const isNot = [
    ...['1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.1', '169.253.0.1'],
    ...['172.15.255.255', '172.32.0.0', '192.0.1.1', '192.167.0.1', '198.17.0.1', '198.20.0.1', '223.255.255.255'],
    ...['::ffff:1.1.1.1', '::ffff:101:101', '2606:4700::1111', '2001:4860::8888', '2003::1', 'fbff::1'],
  ];
  test.each(isNot)('%s is not', (address) => expect(isInternal(address)).toBe(false));
});

describe('where the server is public', () => {
  test.each([
    ...['127.0.0.1', '127.1', '0177.0.0.1', '0x7f.0.0.1', '2130706433', '0x7f000001', '017700000001', '127.0.0.1.', '%31%32%37.0.0.1'],
    ...['[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::]', '0.0.0.0', '0', '10.0.0.1', '192.168.1.1', '169.254.169.254'],
    ...['[fd00::1]', '[fe80::1]', '[64:ff9b::10.0.0.1]', '①②⑦.⓪.⓪.①'],
  ])('https://%s is not reached', async (host) => {
    await expect(outside()(`https://${host}:1/`)).rejects.toThrow(/is not reached: it is an internal address/);
    expect(names).not.toHaveBeenCalled();
  });

  test.each([['10.0.0.7'], ['::1'], ['fd00::1'], ['::ffff:10.0.0.7']])('nor a name that means %s', async (address) => {
    mean([address]);
    await expect(outside()('https://as.example:1/')).rejects.toThrow(`as.example is not reached: it is the internal address ${address}`);
  });

  test('nor one that means it among others', async () => {
    mean(['1.1.1.1', '10.0.0.7']);
    await expect(outside()('https://as.example:1/')).rejects.toThrow(/the internal address 10\.0\.0\.7/);
  });

  test('nor one that changes its meaning: the address that was looked at is the one that is connected to', async () => {
    mean(['203.0.113.1'], ['127.0.0.1']);
    const end = AbortSignal.timeout(50); // nothing is at that address
    await expect(outside()('https://as.example:1/', { signal: end })).rejects.toThrow();
    expect(names).toHaveBeenCalledTimes(1);
  });

  test('nor this machine over plain http, by address or by name', async () => {
    const { url, seen } = await listening((_, response) => response.end());
    await expect(outside()(url)).rejects.toThrow(/is not reached/);
    mean(['127.0.0.1']);
    await expect(outside()(url.replace('127.0.0.1', 'localhost'))).rejects.toThrow(/localhost is not reached/);
    expect(seen).toEqual([]);
  });
});

test.each([
  'http://as.example/',
  'http://10.0.0.1/',
  'http://localhost.example/',
  'ftp://127.0.0.1/',
  'file:///etc/passwd',
  'data:text/plain,x',
])('only https is reached, or http on this machine: %s', async (url) => {
  await expect(inside()(url)).rejects.toThrow(/is not reached: only https is/);
});

test('an answer arrives as it was given', async () => {
  const { url } = await listening((request, response) => {
    response.writeHead(201, { 'content-type': 'text/x', 'x-method': request.method });
    request.pipe(response);
  });
  const answer = await inside()(url, { method: 'POST', body: new URLSearchParams({ a: 'b' }) });
  expect([answer.status, answer.headers.get('x-method'), await answer.text()]).toEqual([201, 'POST', 'a=b']);
});

test('a redirect is an answer', async () => {
  const { url, seen } = await listening((_, response) => response.writeHead(302, { location: '/elsewhere' }).end());
  const answer = await inside()(url);
  expect([answer.status, answer.headers.get('location'), seen]).toEqual([302, '/elsewhere', ['GET /']]);
});

describe('bounds', () => {
  test('an answer that is too large is not read to its end', async () => {
    let gone = false;
    const { url } = await listening(async (_, response) => {
      response.once('close', () => (gone = true));
      while (!gone) {
        response.write('x'.repeat(10_000));
        await pause(1);
      }
    });
    await expect(inside({ ms: 10_000, bytes: 50_000 })(url)).rejects.toThrow('the answer is larger than 50000 bytes');
    await vi.waitFor(() => expect(gone).toBe(true));
  });

  test.each([
    ['gives no answer', () => {}],
    ['drips', (response: { write(text: string): void }) => void setInterval(() => response.write('x'), 5).unref()],
  ])('a server that %s has its time, and no more', async (_how, answer) => {
    const { url } = await listening((_, response) => answer(response));
    await expect(inside({ ms: 60, bytes: 1_000_000 })(url)).rejects.toThrow(/timeout/);
  });

  test('closing ends what is under way', async () => {
    const closing = new AbortController();
    const { url } = await listening(() => closing.abort(new Error('the gateway is closing')));
    await expect(outboundFetch({ internal: true, signal: closing.signal })(url)).rejects.toThrow('the gateway is closing');
  });
});
