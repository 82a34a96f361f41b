import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startProxy, type TcpProxy, until } from '../src/index.ts';

let echo: Server;
let proxy: TcpProxy;
let heard: string;
const clients: Socket[] = [];

beforeEach(async () => {
  heard = '';
  echo = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
    });
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(echo, 'listening');
  proxy = await startProxy({ port: (echo.address() as AddressInfo).port });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await proxy.close();
  echo.close();
});

async function open(): Promise<Socket> {
  const client = connect(proxy.port, '127.0.0.1');
  clients.push(client);
  await once(client, 'connect');
  return client;
}

/** Sends and waits until as many bytes have come back. */
async function roundTrip(client: Socket, bytes: Buffer | string): Promise<Buffer> {
  const wanted = Buffer.from(bytes).length;
  const chunks: Buffer[] = [];
  client.on('data', (chunk) => chunks.push(chunk));
  client.write(bytes);
  await until(() => Buffer.concat(chunks).length >= wanted, { what: `${wanted} bytes to come back` });
  client.removeAllListeners('data');
  return Buffer.concat(chunks);
}

test('forwards both ways, large and small, and passes the end on', async () => {
  const client = await open();
  expect((await roundTrip(client, 'hello')).toString()).toBe('hello');
  const large = Buffer.alloc(3_000_000, 'abcdefg');
  expect((await roundTrip(client, large)).equals(large)).toBe(true);
  expect(proxy.connections).toBe(1);
  client.end();
  client.resume();
  await once(client, 'end');
  await until(() => proxy.connections === 0, { what: 'the connection to be forgotten' });
});

test('cut resets what is open and lets new connections in', async () => {
  const client = await open();
  await roundTrip(client, 'x');
  const failure = once(client, 'error');
  proxy.cut();
  expect((await failure)[0]).toMatchObject({ code: 'ECONNRESET' });
  expect((await roundTrip(await open(), 'again')).toString()).toBe('again');
});

test('refuse turns new connections away, keeps open ones, and heal listens on the same port', async () => {
  const { port } = proxy;
  const client = await open();
  await roundTrip(client, 'x');
  proxy.refuse();
  const turnedAway = connect(port, '127.0.0.1');
  expect((await once(turnedAway, 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
  expect((await roundTrip(client, 'still')).toString()).toBe('still');
  await proxy.heal();
  expect(proxy.port).toBe(port);
  expect((await roundTrip(await open(), 'again')).toString()).toBe('again');
});

test('delay holds each direction for so long and keeps the order', async () => {
  const client = await open();
  await roundTrip(client, 'x');
  proxy.delay(25);
  const before = performance.now();
  const slow = roundTrip(client, 'abc');
  await until(() => heard.endsWith('abc'), { what: 'the slow bytes to be heard' });
  expect(performance.now() - before).toBeGreaterThanOrEqual(25);
  expect((await slow).toString()).toBe('abc');
  expect(performance.now() - before).toBeGreaterThanOrEqual(50);
  client.write('slow-');
  await until(() => client.bytesWritten === 9, { what: 'the bytes to leave' });
  proxy.delay(0);
  client.write('fast');
  await until(() => heard.endsWith('slow-fast'), { what: 'both in order' });
});

test('corrupt inverts every nth byte of each direction and no other', async () => {
  proxy.corrupt(4);
  const client = await open();
  // The way back inverts the same places again; what the target heard shows the way there. Counting goes over chunks.
  expect([...(await roundTrip(client, Buffer.alloc(6)))]).toEqual([0, 0, 0, 0, 0, 0]);
  await roundTrip(client, Buffer.alloc(4));
  expect(heard).toBe('\0\0\0\xff\0\0\0\xff\0\0');
  await proxy.heal();
  heard = '';
  await roundTrip(await open(), 'clean');
  expect(heard).toBe('clean');
});

test('pause accepts and forwards nothing; resume forwards what waited', async () => {
  const before = await open();
  await roundTrip(before, 'x');
  heard = '';
  proxy.pause();
  const during = await open();
  before.write('one');
  during.write('two');
  await until(() => proxy.connections === 2, { what: 'both connections' });
  // A way around the proxy shows that the target is there to hear.
  const direct = connect((echo.address() as AddressInfo).port, '127.0.0.1');
  clients.push(direct);
  await roundTrip(direct, 'direct');
  expect(heard).toBe('direct');
  proxy.resume();
  await until(() => heard.includes('one') && heard.includes('two'), { what: 'what waited' });
});

test('a dead target is a reset, not a silence', async () => {
  proxy.cut();
  echo.close();
  const client = connect(proxy.port, '127.0.0.1');
  clients.push(client);
  client.on('error', () => {});
  await until(() => client.destroyed, { what: 'the reset' });
  await until(() => proxy.connections === 0, { what: 'the connection to be forgotten' });
});

test('close frees the port and cuts everything', async () => {
  const client = await open();
  const { port } = proxy;
  client.on('error', () => {});
  await proxy.close();
  await until(() => client.destroyed, { what: 'the reset' });
  expect((await once(connect(port, '127.0.0.1'), 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
});

test('nonsense is refused', () => {
  expect(() => proxy.delay(-1)).toThrow(RangeError);
  expect(() => proxy.delay(Number.NaN)).toThrow(RangeError);
  expect(() => proxy.corrupt(0)).toThrow(RangeError);
});
