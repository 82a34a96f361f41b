import type { Principal } from './call.ts';
import type { JsonObject } from './json-rpc.ts';
import { RefusedError } from './refusal.ts';
import { digestOf } from './sealed-state.ts';
import type { Audience, Servers } from './servers.ts';

/** How long the servers of an audience that calls nothing are kept, in ms, and how many audiences there may be. */
const bounds = { idleMs: 10 * 60_000, most: 200 };

interface Kept {
  readonly servers: Servers;
  usedAt: number;
}

/**
 * Who shares conversations with servers: all clients of a tenant that cannot be asked for anything; the clients of one user that
 * can be asked for the same. So a server's question reaches nobody but the user whose call it belongs to; and where users sign in
 * to a server, none of them calls it in another's name.
 */
export class Audiences {
  readonly #open: (audience: Audience, shared: Servers | undefined) => Servers;
  readonly #personal: boolean;
  readonly #now: () => number;
  readonly #tenants = new Map<string, Servers>();
  readonly #users = new Map<string, Kept>();
  #closed = false;

  /** `personal`: some servers have their users sign in, so that each user has conversations of his own with them. */
  constructor(open: (audience: Audience, shared: Servers | undefined) => Servers, personal: boolean, now: () => number) {
    this.#open = open;
    this.#personal = personal;
    this.#now = now;
  }

  /** The servers of a whole tenant. */
  tenant(tenant: string): Servers {
    if (this.#closed) throw new RefusedError({ code: 'ERR_CLOSED', message: 'the gateway is closed' });
    let servers = this.#tenants.get(tenant);
    if (servers === undefined) {
      servers = this.#open({ tenant, capabilities: {} }, undefined);
      this.#tenants.set(tenant, servers);
    }
    return servers;
  }

  /** The servers as this client sees them. */
  async of({ tenant, user }: Principal, capabilities: JsonObject): Promise<Servers> {
    const shared = this.tenant(tenant);
    if (Object.keys(capabilities).length === 0 && !(this.#personal && user !== undefined)) return shared;
    const key = digestOf([tenant, user ?? null, capabilities]);
    let kept = this.#users.get(key);
    if (kept === undefined) {
      await shared.catalog(); // tells which servers' conversations can be shared
      kept = this.#users.get(key) ?? { servers: this.#open({ tenant, user, capabilities }, shared), usedAt: 0 };
      this.#users.set(key, kept);
      this.#sweep(kept);
    }
    kept.usedAt = this.#now();
    return kept.servers;
  }

  /** Ends all conversations. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#users.values()].map(({ servers }) => servers.close()));
    await Promise.all([...this.#tenants.values()].map((servers) => servers.close()));
  }

  #sweep(newest: Kept): void {
    const oldest = this.#now() - bounds.idleMs;
    const idle = [...this.#users].filter(([, kept]) => kept !== newest && !kept.servers.busy).sort(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [key, kept] of idle) {
      if (kept.usedAt >= oldest && this.#users.size <= bounds.most) return;
      this.#users.delete(key);
      kept.servers.close().catch(() => {}); // it has nothing to say any more
    }
  }
}
