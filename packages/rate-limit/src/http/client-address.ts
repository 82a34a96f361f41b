import { BlockList, isIP } from 'node:net';
import { onlyKnown, wholeNumber } from '../options.ts';
import { forwardedFor } from './forwarded.ts';
import { familyOf, groupsOf, plainAddress } from './ip.ts';

/** Which proxies are believed about whom they forward for. */
export interface ClientAddressOptions {
  /**
   * How many proxies every request passes on its way here, from 0 to 100; or the addresses of them all, such as `['10.0.0.0/8', '::1']`. Without it no
   * header is read.
   * @defaultValue `0`
   */
  readonly trustedProxies?: number | readonly string[];
  /** The header that all of the proxies write. @defaultValue `'x-forwarded-for'` */
  readonly header?: 'x-forwarded-for' | 'forwarded';
}

/** What of a connection is read. */
export interface Connection {
  /** The address of its other end. */
  readonly remoteAddress?: string | undefined;
}

/** What a client's address is read from: a request of `node:http`, Express or Fastify, or a web-standard one's headers with a socket. */
export interface AddressSource {
  /** The headers. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>> | Pick<Headers, 'get'>;
  /** The connection. */
  readonly socket: Connection;
}

/** How addresses become keys. */
export interface AddressKeyOptions {
  /** How many bits of an IPv6 address tell one client from another, from 48 to 128. @defaultValue `64`, which is what one subscriber gets at least */
  readonly ipv6Prefix?: number;
}

/**
 * Makes a function that reads the address of a request's client, or undefined where the connection has none.
 *
 * It starts from the connection and goes from one proxy to the one before it for as long as it is told to trust them: `trustedProxies` hops, or
 * while the address is one of `trustedProxies`. What a client may have written itself is never reached. Where the header ends, or
 * what a proxy wrote is no IP address, the last proxy that is known is taken for the client. IPv4 addresses in IPv6 are given as
 * IPv4.
 *
 * @throws RangeError for options that are unknown or not allowed
 */
export function clientAddress(options: ClientAddressOptions = {}): (source: AddressSource) => string | undefined {
  onlyKnown('clientAddress', options, ['trustedProxies', 'header']);
  const { trustedProxies = 0, header = 'x-forwarded-for' } = options;
  if (header !== 'x-forwarded-for' && header !== 'forwarded') {
    throw new RangeError(`clientAddress: header must be x-forwarded-for or forwarded, not '${String(header)}'`);
  }
  const read = header === 'forwarded' ? forwardedFor : listed;
  const trusted = trustOf(trustedProxies);
  return ({ headers, socket }) => {
    let address = plainAddress(socket.remoteAddress ?? '');
    if (!trusted(address, 0)) return address;
    const before = read(headerOf(headers, header));
    for (let hop = 0; trusted(address, hop); hop += 1) {
      const next = plainAddress(withoutPort(before[before.length - 1 - hop] ?? ''));
      if (next === undefined) break;
      address = next;
    }
    return address;
  };
}

/**
 * The key of a client: an IPv4 address as it is, the network of an IPv6 one, such as `2001:db8:0:1::/64`. All that is no IP address, undefined too,
 * is one client named `unknown`.
 *
 * @throws RangeError for options that are unknown or not allowed
 */
export function addressKey(address: string | undefined, options: AddressKeyOptions = {}): string {
  onlyKnown('addressKey', options, ['ipv6Prefix']);
  const prefix = wholeNumber('addressKey: ipv6Prefix', options.ipv6Prefix ?? 64, 48, 128);
  const plain = plainAddress(address ?? '');
  if (plain === undefined) return 'unknown';
  if (isIP(plain) === 4) return plain;
  const groups = groupsOf(plain).slice(0, Math.ceil(prefix / 16));
  const spare = groups.length * 16 - prefix;
  const network = groups.map((group, i) => (i === groups.length - 1 ? (group >>> spare) << spare : group));
  return `${network.map((group) => group.toString(16)).join(':')}${groups.length < 8 ? '::' : ''}/${prefix}`;
}

type Trust = (address: string | undefined, hop: number) => boolean;

function trustOf(trustedProxies: number | readonly string[]): Trust {
  if (!Array.isArray(trustedProxies)) {
    const hops = wholeNumber('trustedProxies', trustedProxies as number, 0, 100);
    return (_, hop) => hop < hops;
  }
  const proxies = new BlockList();
  for (const range of trustedProxies as readonly string[]) addRange(proxies, range);
  return (address) => address !== undefined && proxies.check(address, familyOf(address));
}

function addRange(proxies: BlockList, range: string): void {
  const [text = '', bits, ...more] = String(range).split('/');
  const address = plainAddress(text);
  const family = address === undefined ? undefined : familyOf(address);
  const most = isIP(text) === 4 ? 32 : 128;
  const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  const within = family === 'ipv4' && most === 128 ? prefix - 96 : prefix; // IPv4 written as IPv6
  if (address === undefined || family === undefined || more.length > 0 || within < 0 || prefix > most) {
    throw new RangeError(`trustedProxies must be IP addresses or ranges such as 10.0.0.0/8, not ${JSON.stringify(range)}`);
  }
  proxies.addSubnet(address, within, family);
}

function headerOf(headers: AddressSource['headers'], name: string): string {
  const value = typeof headers['get'] === 'function' ? headers.get(name) : (headers as Record<string, string | string[] | undefined>)[name];
  return Array.isArray(value) ? value.join(',') : (value ?? '');
}

function listed(value: string): readonly string[] {
  return value.split(',').map((entry) => entry.trim());
}

/** Without the port and the brackets that proxies write around an address. */
function withoutPort(entry: string): string {
  const [, bracketed, dotted] = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/.exec(entry) ?? [];
  return bracketed ?? dotted ?? entry;
}
