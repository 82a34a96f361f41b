import { randomBytes } from 'node:crypto';
import type { Principal } from './call.ts';
import type { Conversation } from './conversation.ts';
import type { StateSeal } from './sealed-state.ts';

interface Place {
  readonly conversation: Conversation;
  readonly principal: string;
  readonly digest: string;
  readonly timer: NodeJS.Timeout;
}

/** Why a state cannot be taken up again. */
export type ResumeProblem = 'not-ours' | 'other-principal' | 'other-request' | 'expired';

/** Conversations that wait for their clients' answers, each for a limited time. */
export class ParkedConversations {
  readonly #seal: StateSeal;
  readonly #ttlMs: number;
  readonly #most: number;
  readonly #places = new Map<string, Place>();

  constructor(seal: StateSeal, ttlMs: number, most: number) {
    this.#seal = seal;
    this.#ttlMs = ttlMs;
    this.#most = most;
  }

  /** Conversations that wait now. */
  get size(): number {
    return this.#places.size;
  }

  /** Keeps a conversation until it is taken up, or calls it off when its time is over. Gives the state for the client. */
  park(conversation: Conversation, principal: Principal, digest: string): string {
    const oldest = this.#places.size >= this.#most ? this.#places.keys().next().value : undefined;
    if (oldest !== undefined) this.#callOff(oldest, 'too many calls wait for answers; this was the oldest');
    const id = randomBytes(16).toString('base64url');
    const timer = setTimeout(() => this.#callOff(id, `no answer came within ${this.#ttlMs} ms`), this.#ttlMs);
    timer.unref();
    this.#places.set(id, { conversation, principal: nameOf(principal), digest, timer });
    return this.#seal.seal({ conversation: id, principal: nameOf(principal), digest, expiresAt: Date.now() + this.#ttlMs });
  }

  /** The conversation of a state: once, for the same principal and the same request. */
  resume(sealed: string, principal: Principal, digest: string): Conversation | ResumeProblem {
    const state = this.#seal.open(sealed);
    if (state === undefined) return 'not-ours';
    if (state.principal !== nameOf(principal)) return 'other-principal';
    if (state.digest !== digest) return 'other-request';
    const place = this.#places.get(state.conversation);
    if (place === undefined || state.expiresAt < Date.now()) return 'expired';
    this.#places.delete(state.conversation);
    clearTimeout(place.timer);
    return place.conversation;
  }

  /** Calls everything off. */
  close(): void {
    for (const id of [...this.#places.keys()]) this.#callOff(id, 'the gateway is closing');
  }

  #callOff(id: string, why: string): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    clearTimeout(place.timer);
    place.conversation.abort(new Error(why));
  }
}

function nameOf({ tenant, user }: Principal): string {
  return JSON.stringify([tenant, user ?? null]);
}
