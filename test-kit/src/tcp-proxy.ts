import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface TcpTarget {
  /** 127.0.0.1 when absent. */
  host?: string;
  port: number;
}

interface Weather {
  delayMs: number;
  corruptEvery: number;
  paused: boolean;
}

/** The network between a client and a server, as bad as a test wants it. Made by {@link startProxy}. */
export class TcpProxy implements AsyncDisposable {
  #target: TcpTarget;
  #server: Server | undefined;
  #port = 0;
  #links = new Set<Link>();
  #weather: Weather = { delayMs: 0, corruptEvery: 0, paused: false };

  constructor(target: TcpTarget) {
    this.#target = target;
  }

  /** Where to connect to on 127.0.0.1, the same after `refuse` and `heal`. */
  get port(): number {
    return this.#port;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#links.size;
  }

  /** Resets every connection that is open (ECONNRESET); new ones are welcome. */
  cut(): void {
    for (const link of this.#links) link.reset();
  }

  /** From now on new connections fail (ECONNREFUSED); open ones live on until `cut`. */
  refuse(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  /** Bytes read from now on arrive so many milliseconds later, in both directions and in order. */
  delay(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`ms must be >= 0, got ${ms}`);
    this.#weather.delayMs = ms;
  }

  /** Inverts every nth byte of each direction of each connection. */
  corrupt(everyNthByte: number): void {
    if (!Number.isInteger(everyNthByte) || everyNthByte < 1) throw new RangeError(`everyNthByte must be >= 1, got ${everyNthByte}`);
    this.#weather.corruptEvery = everyNthByte;
  }

  /** Accepts connections and bytes, and forwards none of them: a black hole. Nothing is lost. */
  pause(): void {
    this.#weather.paused = true;
  }

  /** Ends `pause`: what waited is forwarded. */
  resume(): void {
    this.#weather.paused = false;
    for (const link of this.#links) link.resume();
  }

  /** Ends every fault and listens again, on the same port. */
  async heal(): Promise<void> {
    this.#weather.delayMs = 0;
    this.#weather.corruptEvery = 0;
    this.resume();
    if (this.#server) return;
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Cuts everything and frees the port. */
  async close(): Promise<void> {
    const server = this.#server;
    this.refuse();
    this.cut();
    if (server?.listening) await once(server, 'close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    const { host = '127.0.0.1', port } = this.#target;
    const link = new Link(client, connect({ host, port, allowHalfOpen: true }), this.#weather, () => this.#links.delete(link));
    this.#links.add(link);
  }
}

/** Starts a proxy on a free port of 127.0.0.1; the target need not be up. */
export async function startProxy(target: TcpTarget): Promise<TcpProxy> {
  const proxy = new TcpProxy(target);
  await proxy.heal();
  return proxy;
}

/** One client with its connection to the target. */
class Link {
  #sockets: [Socket, Socket];
  #directions: [Direction, Direction];

  constructor(client: Socket, server: Socket, weather: Weather, closed: () => void) {
    this.#sockets = [client, server];
    this.#directions = [new Direction(client, server, weather), new Direction(server, client, weather)];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      socket.on('error', () => this.reset());
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) closed();
      });
    }
  }

  resume(): void {
    for (const direction of this.#directions) direction.resume();
  }

  reset(): void {
    for (const direction of this.#directions) direction.stop();
    for (const socket of this.#sockets) if (!socket.destroyed) socket.connecting ? socket.destroy() : socket.resetAndDestroy();
  }
}

const END = Symbol('end');

class Direction {
  #source: Socket;
  #sink: Socket;
  #weather: Weather;
  #queue: { chunk: Buffer | typeof END; at: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #bytes = 0;

  constructor(source: Socket, sink: Socket, weather: Weather) {
    this.#source = source;
    this.#sink = sink;
    this.#weather = weather;
    source.on('data', (chunk) => this.#take(this.#spoil(chunk)));
    source.on('end', () => this.#take(END));
    sink.on('drain', () => this.resume());
  }

  resume(): void {
    if (this.#weather.paused) return;
    this.#pump();
    this.#source.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  #take(chunk: Buffer | typeof END): void {
    this.#queue.push({ chunk, at: performance.now() + this.#weather.delayMs });
    this.#pump();
  }

  // One queue and one timer: two timers of different length could overtake each other.
  #pump(): void {
    clearTimeout(this.#timer);
    for (let head = this.#queue[0]; head && !this.#weather.paused; head = this.#queue[0]) {
      const wait = head.at - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#pump(), Math.ceil(wait));
        return;
      }
      this.#queue.shift();
      if (head.chunk === END) this.#sink.end();
      else if (!this.#sink.write(head.chunk)) this.#source.pause();
    }
  }

  #spoil(chunk: Buffer): Buffer {
    const every = this.#weather.corruptEvery;
    const start = this.#bytes;
    this.#bytes += chunk.length;
    if (every === 0) return chunk;
    const spoilt = Buffer.from(chunk);
    for (let i = every - 1 - (start % every); i < spoilt.length; i += every) spoilt[i] = ~(spoilt[i] ?? 0) & 0xff;
    return spoilt;
  }
}
