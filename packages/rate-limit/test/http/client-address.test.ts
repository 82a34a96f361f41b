import { fc, test as prop } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { addressKey, type ClientAddressOptions, clientAddress } from '../../src/http.ts';
import { runs } from '../runs.ts';

const from = (peer: string | undefined, headers: Record<string, string> = {}) => ({ headers, socket: { remoteAddress: peer } });

/** The address that is read of a request from `peer` with this `X-Forwarded-For`. */
const through = (trustedProxies: number | readonly string[] | undefined, peer: string | undefined, forwarded: string) =>
  clientAddress(trustedProxies === undefined ? {} : { trustedProxies })(from(peer, { 'x-forwarded-for': forwarded }));

describe('without a rule', () => {
  test('the address is that of the connection, whatever the headers say', () => {
    expect(through(undefined, '192.0.2.1', '6.6.6.6')).toBe('192.0.2.1');
    expect(through(0, '192.0.2.1', '6.6.6.6')).toBe('192.0.2.1');
    expect(through([], '192.0.2.1', '6.6.6.6')).toBe('192.0.2.1');
  });

  test('a connection without an address has none', () => expect(through(undefined, undefined, '6.6.6.6')).toBeUndefined());

  test('IPv4 in IPv6 is IPv4, in every notation', () => {
    for (const peer of ['::ffff:192.0.2.1', '::FFFF:c000:201', '0:0:0:0:0:ffff:c000:0201', '::ffff:192.0.2.1%eth0']) {
      expect(through(undefined, peer, '')).toBe('192.0.2.1');
    }
  });
});

test('IPv6 that only looks like IPv4 in it stays IPv6', () => {
  for (const peer of ['::c000:201', '::1:ffff:c000:201', '::fffe:c000:201']) expect(through(undefined, peer, '')).toBe(peer);
});

describe('a number of proxies', () => {
  test('is how many entries are believed, from the end', () => {
    const header = '6.6.6.6, 203.0.113.7, 10.0.0.1';
    expect([1, 2, 3].map((hops) => through(hops, '10.0.0.2', header))).toEqual(['10.0.0.1', '203.0.113.7', '6.6.6.6']);
  });

  test('beyond what the header has stops at its first entry', () => expect(through(5, '10.0.0.2', '203.0.113.7')).toBe('203.0.113.7'));

  test('works where the proxy is on a Unix socket', () => expect(through(1, undefined, '203.0.113.7')).toBe('203.0.113.7'));
});

describe('ranges of proxies', () => {
  test('are passed through to the first address that is in none', () => {
    expect(through(['10.0.0.0/8', '::1'], '::1', '6.6.6.6, 203.0.113.7, 10.1.2.3')).toBe('203.0.113.7');
    expect(through(['fd00::/8'], 'fd00::1', '2001:db8::7')).toBe('2001:db8::7');
  });

  test('do not believe a peer that is in none', () => expect(through(['10.0.0.0/8'], '192.0.2.1', '6.6.6.6')).toBe('192.0.2.1'));

  test('hold for IPv4 in IPv6 too, on either side', () => {
    expect(through(['10.0.0.0/8'], '::ffff:10.0.0.1', '203.0.113.7')).toBe('203.0.113.7');
    expect(through(['::ffff:10.0.0.0/104'], '10.9.9.9', '203.0.113.7')).toBe('203.0.113.7');
    expect(through(['::ffff:10.0.0.0/104'], '11.9.9.9', '203.0.113.7')).toBe('11.9.9.9');
  });
});

describe('what a proxy wrote', () => {
  test('may have a port or brackets', () => {
    const written = ['203.0.113.7:4711', '[2001:db8::7]:4711', '[2001:db8::7]', '2001:DB8::7'];
    expect(written.map((entry) => through(1, '10.0.0.1', entry))).toEqual(['203.0.113.7', '2001:db8::7', '2001:db8::7', '2001:db8::7']);
  });

  test('is not believed where it is no address, and nothing before it is', () => {
    for (const garbage of [
      'unknown',
      '',
      '1.2.3',
      '1.2.3.4.5',
      '999.1.1.1',
      '<script>',
      '_hidden',
      '1.2.3.4 5.6.7.8',
      '[1.2.3.4',
      '::1::',
    ]) {
      expect(through(2, '10.0.0.1', `6.6.6.6, ${garbage}`), garbage).toBe('10.0.0.1');
      expect(through(['10.0.0.0/8'], '10.0.0.1', `6.6.6.6, ${garbage}`), garbage).toBe('10.0.0.1');
    }
  });

  prop.prop([fc.string({ unit: 'binary' }), fc.constantFrom('x-forwarded-for', 'forwarded')], runs(500))(
    'is never more than what is behind the believed hops',
    (written, header) => {
      const read = clientAddress({ trustedProxies: 1, header: header as 'forwarded' });
      const added = header === 'forwarded' ? 'for=203.0.113.7' : '203.0.113.7';
      expect(['203.0.113.7', '10.0.0.1']).toContain(read(from('10.0.0.1', { [header]: `${written}, ${added}` })));
    },
  );

  test('is read from web-standard headers and from lists alike', () => {
    const read = clientAddress({ trustedProxies: 2 });
    const socket = { remoteAddress: '10.0.0.1' };
    expect(read({ headers: new Headers({ 'X-Forwarded-For': '203.0.113.7, 10.0.0.2' }), socket })).toBe('203.0.113.7');
    expect(read({ headers: { 'x-forwarded-for': ['203.0.113.7', '10.0.0.2'] }, socket })).toBe('203.0.113.7');
  });
});

describe('Forwarded', () => {
  const read = (header: string, trustedProxies: number | readonly string[] = 1) =>
    clientAddress({ trustedProxies, header: 'forwarded' })(from('10.0.0.1', { forwarded: header, 'x-forwarded-for': '6.6.6.6' }));

  test('is read by its grammar', () => {
    expect(read('for=203.0.113.7')).toBe('203.0.113.7');
    expect(read('For="[2001:db8:cafe::17]:4711"')).toBe('2001:db8:cafe::17');
    expect(read('for=192.0.2.60;proto=http;by=203.0.113.43')).toBe('192.0.2.60');
    expect(read('for=6.6.6.6, by="a,b;for=9.9.9.9"; FOR="203.0.113.7:80" ;proto=https')).toBe('203.0.113.7');
    expect(read('for=203.0.113.7 , for="\\10.0.0.3"', ['10.0.0.0/8'])).toBe('203.0.113.7');
  });

  test('is not believed where it is malformed or hides the address', () => {
    for (const header of [
      'for=6.6.6.6, for=unknown',
      'for=6.6.6.6, for=_x',
      'for=6.6.6.6, proto=http',
      'for=6.6.6.6 x',
      'for="6.6.6.6',
      'for=',
      '',
    ]) {
      expect(read(header, 1), header).toBe('10.0.0.1');
    }
  });

  test('is not cut short by a quote that a client left open', () => {
    expect(read('for=6.6.6.6;a=", for="203.0.113.7"')).toBe('10.0.0.1');
    expect(read('for=6.6.6.6;", for=203.0.113.7')).toBe('10.0.0.1');
  });

  test('takes no longer for a hostile header', () => {
    const started = performance.now();
    for (const unit of [' ', 'for=" ', 'a=b;', '\\"', ',', 'for=a ']) read(unit.repeat(16_384 / unit.length));
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

describe('the key of an address', () => {
  test('is an IPv4 address as it is', () => {
    expect(addressKey('192.0.2.1')).toBe('192.0.2.1');
    expect(addressKey('::ffff:c000:201')).toBe('192.0.2.1');
  });

  test('is the network of 64 bits of an IPv6 address, in one notation', () => {
    for (const address of ['2001:db8:0:1::7', '2001:DB8:0:1:ffff::', '2001:0db8:0000:0001:1:2:3:4', '2001:db8:0:1::1.2.3.4']) {
      expect(addressKey(address)).toBe('2001:db8:0:1::/64');
    }
    expect(addressKey('2001:db8:0:2::7')).toBe('2001:db8:0:2::/64');
    expect(addressKey('fe80::1%eth0')).toBe('fe80:0:0:0::/64');
  });

  test('is of another length where that is asked for', () => {
    const address = '2001:db8:aaaa:bbcc:1122::1';
    const keys = [48, 56, 60, 63, 128].map((ipv6Prefix) => addressKey(address, { ipv6Prefix }));
    expect(keys).toEqual([
      '2001:db8:aaaa::/48',
      '2001:db8:aaaa:bb00::/56',
      '2001:db8:aaaa:bbc0::/60',
      '2001:db8:aaaa:bbcc::/63',
      '2001:db8:aaaa:bbcc:1122:0:0:1/128',
    ]);
  });

  prop.prop([fc.ipV6(), fc.integer({ min: 48, max: 128 }), fc.integer({ min: 0, max: 127 })], runs(500))(
    'changes with the bits of the prefix and with no other',
    (address, ipv6Prefix, bit) => {
      const [network = ''] = addressKey(address, { ipv6Prefix: 128 }).split('/');
      const groups = network.split(':').map((group) => Number.parseInt(group, 16));
      if (groups.length !== 8) return; // IPv4
      groups[bit >> 4] = (groups[bit >> 4] as number) ^ (1 << (15 - (bit & 15)));
      const other = groups.map((group) => group.toString(16)).join(':');
      const same = addressKey(other, { ipv6Prefix }) === addressKey(address, { ipv6Prefix });
      expect(same).toBe(bit >= ipv6Prefix);
    },
  );

  test('is one for all that is no address', () => {
    expect([undefined, '', 'localhost', '1.2.3', 'a'.repeat(10_000)].map((each) => addressKey(each))).toEqual(Array(5).fill('unknown'));
  });
});

test('options that are not allowed are refused by name', () => {
  const wrong = (options: unknown) => () => clientAddress(options as ClientAddressOptions);
  for (const trustedProxies of [-1, 1.5, 101, Number.NaN, true, '10.0.0.0/8'])
    expect(wrong({ trustedProxies })).toThrow(/trustedProxies must be/);
  for (const range of ['10.0.0.0/33', '10.0.0', '::/129', '10.0.0.0/', '10.0.0.0/8/8', '::ffff:10.0.0.0/8', 'lan', 7]) {
    expect(wrong({ trustedProxies: [range] }), String(range)).toThrow(/trustedProxies must be IP addresses or ranges/);
  }
  expect(wrong({ header: 'x-real-ip' })).toThrow(/header must be/);
  expect(wrong({ trustProxy: 1 })).toThrow(/unknown option 'trustProxy'/);
  expect(() => addressKey('::1', { ipv6Prefix: 47 })).toThrow(/ipv6Prefix must be a whole number from 48 to 128/);
});
