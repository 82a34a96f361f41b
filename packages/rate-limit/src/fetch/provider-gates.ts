import { type GateOptions, ProviderGate } from './provider-gate.ts';

/** The gates of so many providers, keys or models at most. */
export class ProviderGates {
  readonly #options: GateOptions;
  readonly #most: number;
  readonly #gates = new Map<string, ProviderGate>();

  constructor(options: GateOptions, most: number) {
    this.#options = options;
    this.#most = most;
  }

  /**
   * The gate of this name. Where there are too many, those that were not used for longest are forgotten, unless requests wait or are under way;
   * if they all are in use, this one is followed for a single request.
   */
  of(name: string): ProviderGate {
    const gate = this.#gates.get(name) ?? new ProviderGate(this.#options);
    this.#gates.delete(name);
    if (this.#gates.size >= this.#most) this.#forget();
    if (this.#gates.size < this.#most) this.#gates.set(name, gate);
    return gate;
  }

  #forget(): void {
    for (const [name, gate] of this.#gates) {
      if (!gate.idle) continue;
      this.#gates.delete(name);
      return;
    }
  }
}
