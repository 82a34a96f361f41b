import type { Answer, Call, ClientSide } from './call.ts';
import { SignInRequiredError, signedIn } from './oauth/sign-in-required.ts';
import type { Next } from './pipeline.ts';
import type { GuardContext } from './ports.ts';
import { RefusedError, toRefusal } from './refusal.ts';
import type { ServerEntry, Servers } from './servers.ts';
import { certainlyNotCarriedOut, noteNeverSent, UpstreamError } from './upstream-error.ts';

/** What a dispatch tells. */
export interface DispatchListener {
  /** A call went to the fallback because its server's circuit was open. */
  fellBack(call: Call, fallback: string): void;
}

/** The innermost step: makes the call under its server's guard, or under its fallback's while the server's circuit is open. */
export function dispatch(servers: (call: Call) => Promise<Servers>, listener: DispatchListener): Next {
  return async (call) => {
    const audience = await servers(call);
    const entry = audience.entry(call.server);
    if (entry === undefined) throw new RefusedError({ code: 'ERR_UNKNOWN_NAME', message: `there is no server '${call.server}'` });
    const attempts = new Attempts(audience, call);
    try {
      return await attempts.make(entry);
    } catch (error) {
      if (entry.fallback === undefined || !isCircuitOpen(error)) throw attempts.honest(error);
      listener.fellBack(call, entry.fallback.name);
      return await attempts.make(entry.fallback).catch((failure: unknown) => {
        throw attempts.honest(failure);
      });
    }
  };
}

/** The attempts at one call. */
class Attempts {
  readonly #servers: Servers;
  readonly #call: Call;
  #begun = false;
  #perhapsCarriedOut = false;

  constructor(servers: Servers, call: Call) {
    this.#servers = servers;
    this.#call = call;
  }

  async make(entry: ServerEntry): Promise<Answer> {
    const { repeatable, method, params, client, offered, signal, principal, traceId } = this.#call;
    const guard = repeatable ? entry.guard.repeatable : entry.guard.once;
    const upstream = this.#servers.upstream(entry.name);
    if (upstream === undefined) throw new RefusedError({ code: 'ERR_CLOSED', message: 'the gateway is closing' });
    const attempt = async (context: GuardContext) => {
      try {
        return await upstream.request(method, params, {
          signal: context.signal,
          client: unhurried(client, context),
          tool: offered,
          caller: { principal, traceId },
          begun: () => {
            this.#begun = true;
          },
        });
      } catch (error) {
        this.#perhapsCarriedOut ||= !certainlyNotCarriedOut(error);
        if (error instanceof SignInRequiredError) this.#begun = false; // whatever the sign-in comes to, nothing has been done
        throw error;
      }
    };
    const answer = await this.#servers.untilClosed(signal, (either) =>
      signedIn(client, either, () => guard.execute(attempt, { signal: either })),
    );
    this.#servers.answered(entry.name);
    return answer;
  }

  /** The last error, which says that nothing was carried out only if that is so of every attempt. */
  honest(error: unknown): unknown {
    if (!this.#begun) noteNeverSent(error); // its time was over while it waited for a connection
    if (!this.#perhapsCarriedOut || !certainlyNotCarriedOut(error)) return error;
    const { message, retryAfterMs } = toRefusal(error);
    const problem = `may have carried out an earlier attempt; the last one failed: ${message}`;
    return new UpstreamError(this.#call.server, problem, { carriedOut: 'perhaps', retryAfterMs, cause: error });
  }
}

/** A client whose time to answer questions is not counted. */
function unhurried(client: ClientSide, { suspendTimeouts }: GuardContext): ClientSide {
  if (suspendTimeouts === undefined) return client;
  return {
    ...client,
    ask: async (question) => {
      const resume = suspendTimeouts();
      try {
        return await client.ask(question);
      } finally {
        resume();
      }
    },
  };
}

function isCircuitOpen(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (error as { code?: unknown }).code === 'ERR_CIRCUIT_OPEN';
}
