import type { ClientSide, Owner } from './call.ts';
import { Catalog } from './catalog.ts';
import { isObject, type JsonObject, type RpcNotification } from './json-rpc.ts';
import type { ServerGuard } from './ports.ts';
import { RefusedError } from './refusal.ts';
import { emptyCatalog, loadCatalog, type ServerCatalog } from './server-catalog.ts';
import { type Connect, Upstream, type UpstreamListener } from './upstream.ts';
import type { Connection } from './wire/connection.ts';

/** A server as it is configured, with everything that is needed to call it. */
export interface ServerEntry {
  /** Names the server in errors, events and metrics. */
  readonly name: string;
  /** Put before the names of its tools and prompts. */
  readonly prefix: string;
  /** Opens a conversation for this audience; no two tenants share one. */
  readonly connect: (audience: Audience) => Connect;
  /** Whether each user of a tenant has conversations of his own, because he signs in to the server. */
  readonly personal?: boolean;
  /** What guards the calls to it. */
  readonly guard: ServerGuard;
  /** Takes the calls while the server's circuit is open. */
  readonly fallback?: ServerEntry;
  /** Whether a tool, by the server's own name for it, is shown and may be called at all. @defaultValue every one */
  readonly offers?: (tool: string) => boolean;
  /** Whether a tool, by the server's own name for it, may be called twice. */
  readonly repeatable: (tool: string, entry: unknown) => boolean;
}

/** Whose servers these are: a tenant's, or those of one of its users. */
export interface Audience extends Owner {
  /** What the clients can be asked for. */
  readonly capabilities: JsonObject;
}

/** What happens to servers. */
export interface ServersListener {
  up(server: string): void;
  down(server: string, reason: string): void;
  problem(server: string, problem: string, sample: string): void;
  catalogChanged(): void;
  collision(name: string, holder: string, other: string): void;
  /** A notification that belongs to no call. */
  notification(notification: RpcNotification): void;
  /** A client of the audience that can be asked something outside any call. */
  bystander(): ClientSide | undefined;
}

/** How long things may take, in ms. */
export interface ServerTimes {
  /** How long a handshake may take. */
  readonly connectMs: number;
  /** How long a list waits for servers of which nothing is known yet. */
  readonly listMs: number;
}

interface Lane {
  readonly entry: ServerEntry;
  readonly upstream: Upstream;
  catalog: ServerCatalog | undefined;
  /** The catalogue only stands in for the server's own. */
  provisional: boolean;
  /** The loading under way. */
  loading: Promise<void> | undefined;
  /** The catalogue may have changed since it was asked for. */
  stale: boolean;
}

/** The servers as one audience sees them: conversations and catalogues of its own. */
export class Servers {
  readonly audience: Audience;
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #fallbacks: ReadonlyMap<string, Upstream>;
  readonly #shared: Servers | undefined;
  readonly #listener: ServersListener;
  readonly #listMs: number;
  readonly #closing = new AbortController();
  readonly #running = new Set<AbortController>();
  readonly #away = new Set<string>();
  #catalog: Catalog | undefined;

  /** Conversations that stand for no client in particular are taken from `shared`, the servers of the whole tenant. */
  constructor(audience: Audience, entries: readonly ServerEntry[], times: ServerTimes, listener: ServersListener, shared?: Servers) {
    this.audience = audience;
    this.#listener = listener;
    this.#listMs = times.listMs;
    this.#shared = shared;
    const open = (entry: ServerEntry) => new Upstream(entry.name, entry.connect(audience), times.connectMs, this.#upstreamListener(entry));
    const own = (entry: ServerEntry): Lane => ({
      entry,
      upstream: open(entry),
      catalog: undefined,
      provisional: false,
      loading: undefined,
      stale: false,
    });
    this.#lanes = new Map(entries.map((entry) => [entry.name, shared?.laneFor(audience, entry.name) ?? own(entry)]));
    this.#fallbacks = new Map(entries.flatMap(({ fallback }) => (fallback === undefined ? [] : [[fallback.name, open(fallback)]])));
  }

  /** The conversation of the whole tenant, where this audience may have part in it. @internal */
  laneFor({ user, capabilities }: Audience, name: string): Lane | undefined {
    const lane = this.#lanes.get(name);
    if (lane === undefined || (lane.entry.personal === true && user !== undefined)) return undefined;
    return lane.upstream.stateless === true || Object.keys(capabilities).length === 0 ? lane : undefined;
  }

  /** Whether calls are under way. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  /** The conversation with a server or a fallback. */
  upstream(name: string): Upstream | undefined {
    return this.#lanes.get(name)?.upstream ?? this.#fallbacks.get(name);
  }

  entry(name: string): ServerEntry | undefined {
    return this.#lanes.get(name)?.entry;
  }

  /** The server whose prefix a name carries, known to have it or not. */
  byPrefix(name: string): ServerEntry | undefined {
    for (const { entry } of this.#lanes.values()) if (entry.prefix !== '' && name.startsWith(entry.prefix)) return entry;
    return undefined;
  }

  /** What is known now. */
  get known(): Catalog {
    const parts = [...this.#lanes.values()].map(({ entry, catalog }) => ({
      server: entry.name,
      prefix: entry.prefix,
      catalog: catalog ?? emptyCatalog,
    }));
    if (this.#catalog === undefined || !this.#catalog.isOf(parts)) {
      this.#catalog = new Catalog(parts);
      for (const [name, holder, other] of this.#catalog.collisions) this.#listener.collision(name, holder, other);
    }
    return this.#catalog;
  }

  /** What is known once every server has been asked, or the time for that is over; a server that is away keeps its last catalogue. */
  async catalog(): Promise<Catalog> {
    const unknown = [...this.#lanes.values()].filter(
      ({ catalog, provisional, loading }) => catalog === undefined || (provisional && loading !== undefined),
    );
    if (unknown.length > 0) await within(this.#listMs, Promise.all(unknown.map((lane) => this.#load(lane))));
    return this.known;
  }

  /** Asks a server that has just answered for the catalogue that it could not be asked for before. */
  answered(name: string): void {
    const lane = this.#lanes.get(name);
    if (lane?.stale === true) void this.#load(lane);
  }

  /** Which resources are watched: each server is asked for those that it has. */
  async watch(uris: Iterable<string>): Promise<void> {
    const catalog = await this.catalog();
    const byServer = new Map([...this.#lanes.keys()].map((name) => [name, new Set<string>()]));
    for (const uri of uris) byServer.get(catalog.resource(uri)?.server ?? '')?.add(uri);
    await Promise.all([...byServer].map(([name, watched]) => this.#lanes.get(name)?.upstream.watch(watched)));
  }

  /** Runs `fn` under a signal that is aborted with `signal`, or when these servers are closed. */
  async untilClosed<T>(signal: AbortSignal, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#closing.signal.throwIfAborted();
    signal.throwIfAborted();
    const running = new AbortController();
    const onAbort = () => running.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#running.add(running);
    try {
      return await fn(running.signal);
    } finally {
      this.#running.delete(running);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** What the servers offer beyond the protocol itself; of two that say it differently, the first one's word. */
  get extensions(): JsonObject {
    const each = [...this.#lanes.values()].map(({ upstream }) => upstream.description?.capabilities['extensions']);
    return Object.assign({}, ...each.filter(isObject).reverse());
  }

  /** Servers of which nothing is known. */
  get missing(): readonly string[] {
    return [...this.#lanes.values()].filter(({ catalog }) => catalog === undefined).map(({ entry }) => entry.name);
  }

  /** Ends all calls and conversations of this audience. */
  async close(): Promise<void> {
    this.#closing.abort(closing());
    // an error of its own for each: what is noted of one call's is not so of the others
    for (const running of this.#running) running.abort(closing());
    const own = [...this.#lanes].filter(([name, lane]) => this.#shared?.upstream(name) !== lane.upstream);
    await Promise.all([...own.map(([, { upstream }]) => upstream), ...this.#fallbacks.values()].map((upstream) => upstream.close()));
  }

  /** Connects, which loads the catalogue; fails quietly, for the circuit and the log have the reason. */
  #load(lane: Lane): Promise<void> {
    lane.loading ??= lane.entry.guard.repeatable
      .execute(async ({ signal }) => this.#refresh(lane, await lane.upstream.connection(signal), signal), {
        signal: this.#closing.signal,
      })
      .then(
        () => lane.stale,
        () => {
          lane.stale = true;
          return false;
        },
      )
      .then((changedMeanwhile: boolean) => {
        lane.loading = undefined;
        if (changedMeanwhile) void this.#load(lane);
      });
    return lane.loading;
  }

  async #refresh(lane: Lane, connection: Connection, signal: AbortSignal): Promise<void> {
    lane.stale = false;
    const before = lane.catalog;
    const { name, offers = () => true } = lane.entry;
    const loaded = await loadCatalog(name, connection, signal, before);
    const catalog = { ...loaded, tools: loaded.tools.filter((tool) => offers(tool['name'] as string)) };
    const provisional = connection.provisional === true;
    if (provisional && before !== undefined && !lane.provisional) return; // what is known is more than what stands in for it
    lane.provisional = provisional;
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(catalog)) return;
    lane.catalog = catalog;
    if (before !== undefined) this.#listener.catalogChanged();
  }

  #upstreamListener(entry: ServerEntry): UpstreamListener {
    const reload = () => {
      const lane = this.#lanes.get(entry.name);
      if (lane === undefined) return;
      lane.stale = true;
      void this.#load(lane);
    };
    return {
      connected: () => {
        this.#away.delete(entry.name);
        this.#listener.up(entry.name);
        // a server that came back may have changed
        reload();
      },
      lost: (error) => {
        if (this.#away.has(entry.name) || this.#closing.signal.aborted) return;
        this.#away.add(entry.name);
        this.#listener.down(entry.name, error.detail === '' ? error.message : `${error.message}; it said: ${error.detail}`);
      },
      problem: ({ problem, sample }) => this.#listener.problem(entry.name, problem, sample),
      notification: (notification) => {
        if (/^notifications\/(tools|resources|prompts)\/list_changed$/.test(notification.method)) reload();
        else this.#listener.notification(notification);
      },
      bystander: () => this.#listener.bystander(),
    };
  }
}

function closing(): RefusedError {
  return new RefusedError({ code: 'ERR_CLOSED', message: 'the gateway is closing' });
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
