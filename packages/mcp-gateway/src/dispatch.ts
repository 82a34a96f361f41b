import type { Answer, Call } from './call.ts';
import type { Next } from './pipeline.ts';
import { RefusedError } from './refusal.ts';
import type { ServerEntry, TenantServers } from './servers.ts';

/** What a dispatch tells. */
export interface DispatchListener {
  /** A call went to the fallback because its server's circuit was open. */
  fellBack(call: Call, fallback: string): void;
}

/** The innermost step: makes the call under its server's guard, or under its fallback's while the server's circuit is open. */
export function dispatch(servers: (tenant: string) => TenantServers, listener: DispatchListener): Next {
  return async (call) => {
    const tenant = servers(call.principal.tenant);
    const entry = tenant.entry(call.server);
    if (entry === undefined) throw new RefusedError({ code: 'ERR_UNKNOWN_NAME', message: `there is no server '${call.server}'` });
    try {
      return await attempt(tenant, entry, call);
    } catch (error) {
      if (entry.fallback === undefined || !isCircuitOpen(error)) throw error;
      listener.fellBack(call, entry.fallback.name);
      return attempt(tenant, entry.fallback, call);
    }
  };
}

function attempt(servers: TenantServers, entry: ServerEntry, call: Call): Promise<Answer> {
  const guard = call.repeatable ? entry.guard.repeatable : entry.guard.once;
  const upstream = servers.upstream(entry.name);
  if (upstream === undefined) throw new RefusedError({ code: 'ERR_CLOSED', message: 'the gateway is closing' });
  return guard.execute(({ signal }) => upstream.request(call.method, call.params, { signal, notify: call.notify }), {
    signal: call.signal,
  });
}

function isCircuitOpen(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (error as { code?: unknown }).code === 'ERR_CIRCUIT_OPEN';
}
