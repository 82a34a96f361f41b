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
  // those that hold an IPv4 address are reached by way of a gateway, which may reach what is inside
  ['::', 96],
  ['::ffff:0:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2001::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
] as const)
  internal.addSubnet(network, prefix, 'ipv6');

/** Whether an IP address belongs to this machine or a private network. */
export function isInternal(address: string): boolean {
  const [plain = ''] = address.split('%'); // an address of one link may say which
  return internal.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}

/** What is reached, and for how long. */
export interface Reach {
  /** Whether addresses of private networks are. */
  readonly internal: boolean;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
}

/** Makes a `fetch` for addresses that somebody else has named. */
export type OutboundFetch = (reach: Reach) => typeof fetch;

/**
 * A `fetch` for the addresses that a server and its authorization server name: https (http on this machine only), bounded in time
 * and size, without redirects. Where nothing internal is reached the address that is checked is the one that is connected to, so
 * that a name cannot change its meaning in between.
 */
export function outboundFetch({ internal: reachesInternal, signal }: Reach, { ms, bytes } = bounds): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(host)))
      throw new Error(`${url.origin} is not reached: only https is`);
    const lookup = reachesInternal ? undefined : refusesInternal(host);
    const body = Buffer.from(await request.arrayBuffer());
    const end = AbortSignal.any([signal, request.signal, AbortSignal.timeout(ms)]);
    const response = await send(url, request, { body, lookup, signal: end });
    const headers = Object.entries(response.headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
    const answer = await read(response, bytes).catch((error: unknown) => {
      throw end.aborted ? end.reason : error;
    });
    const status = response.statusCode ?? 502;
    return new Response([204, 205, 304].includes(status) ? null : answer, { status, headers: headers as [string, string][] });
  };
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

interface Sending {
  readonly body: Buffer;
  readonly lookup: LookupFunction | undefined;
  readonly signal: AbortSignal;
}

function send(url: URL, request: Request, { body, lookup, signal }: Sending): Promise<IncomingMessage> {
  const options: RequestOptions = {
    method: request.method,
    headers: { ...Object.fromEntries(request.headers), ...(body.length > 0 && { 'content-length': body.length }) },
    agent: false,
    signal,
    ...(lookup && { lookup }),
  };
  return new Promise((resolve_, reject) => {
    const outgoing = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, resolve_);
    outgoing.once('error', (error) => reject(signal.aborted ? signal.reason : error));
    outgoing.end(body);
  });
}

async function read(response: IncomingMessage, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response) {
    parts.push(part as Buffer);
    length += (part as Buffer).length;
    if (length > most) throw new Error(`the answer is larger than ${most} bytes`);
  }
  return new Uint8Array(Buffer.concat(parts));
}
