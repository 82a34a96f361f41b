import { lookup as resolve } from 'node:dns/promises';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { isLoopback } from '../access.ts';

/** The bounds of one request to an address that somebody else has named. */
const bounds = { ms: 10_000, bytes: 1024 * 1024 };

/** Addresses that are no public host's: the special-purpose registries of IANA (RFC 6890), as far as they are routed anywhere. */
const internal = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  internal.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  internal.addSubnet(network, prefix, 'ipv6');

/** Whether an IP address belongs to this machine or a private network. */
export function isInternal(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return isInternal(mapped);
  return internal.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/**
 * A `fetch` for the addresses that a server and its authorization server name: https (http on this machine only), bounded in time
 * and size, without redirects. Where the configured server itself is a public host, nothing internal is reached: the address that
 * is checked is the one that is connected to, so that a name cannot change its meaning in between.
 */
export function outboundFetch(server: URL): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(host)))
      throw new Error(`${url.origin} is not reached: only https is`);
    const guard = (await isInternalHost(server)) ? undefined : refusesInternal(host);
    const body = Buffer.from(await request.arrayBuffer());
    const response = await send(url, request, body, guard);
    const headers = Object.entries(response.headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
    const answer = await read(response);
    const status = response.statusCode ?? 502;
    return new Response([204, 205, 304].includes(status) ? null : answer, { status, headers: headers as [string, string][] });
  };
}

async function isInternalHost(server: URL): Promise<boolean> {
  const host = server.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) > 0) return isInternal(host);
  const addresses = await resolve(host, { all: true });
  return addresses.every(({ address }) => isInternal(address));
}

function refusesInternal(host: string): LookupFunction {
  if (isIP(host) > 0 && isInternal(host)) throw new Error(`${host} is not reached: it is an internal address`);
  return (name, options, done) => {
    resolve(name, { ...options, all: true }).then(
      (addresses) => {
        const inside = addresses.find(({ address }) => isInternal(address));
        if (inside !== undefined) done(new Error(`${name} is not reached: it is the internal address ${inside.address}`), '');
        else if (options.all === true) done(null, addresses);
        else done(null, addresses[0]?.address ?? '', addresses[0]?.family);
      },
      (error: NodeJS.ErrnoException) => done(error, ''),
    );
  };
}

function send(url: URL, request: Request, body: Buffer, lookup: LookupFunction | undefined): Promise<IncomingMessage> {
  const options: RequestOptions = {
    method: request.method,
    headers: { ...Object.fromEntries(request.headers), ...(body.length > 0 && { 'content-length': body.length }) },
    agent: false,
    signal: AbortSignal.any([AbortSignal.timeout(bounds.ms), request.signal]),
    ...(lookup && { lookup }),
  };
  return new Promise((resolve_, reject) => {
    const outgoing = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, resolve_);
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

async function read(response: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response) {
    parts.push(part as Buffer);
    length += (part as Buffer).length;
    if (length > bounds.bytes) throw new Error(`the answer is larger than ${bounds.bytes} bytes`);
  }
  return new Uint8Array(Buffer.concat(parts));
}
