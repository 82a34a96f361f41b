/** What happened when, in a fixed number of equal parts of a time. */
export class Timeline {
  readonly #fromMs: number;
  readonly #partMs: number;
  readonly #parts: Float64Array;

  constructor(fromMs: number, toMs: number, parts: number) {
    this.#fromMs = fromMs;
    this.#partMs = Math.max(toMs - fromMs, 1) / parts;
    this.#parts = new Float64Array(parts);
  }

  /** Counts one at an instant. */
  count(atMs: number): void {
    const part = this.#partOf(atMs);
    this.#parts[part] = (this.#parts[part] ?? 0) + 1;
  }

  /** Adds a span, each part its share in ms. */
  span(fromMs: number, toMs: number): void {
    for (let part = this.#partOf(fromMs); part <= this.#partOf(toMs); part += 1) {
      const begin = this.#fromMs + part * this.#partMs;
      const share = Math.min(toMs, begin + this.#partMs) - Math.max(fromMs, begin);
      if (share > 0) this.#parts[part] = (this.#parts[part] ?? 0) + share;
    }
  }

  /** What was counted in each part. */
  counts(): number[] {
    return [...this.#parts];
  }

  /** The share of each part that its spans take, 0 to 1. */
  shares(): number[] {
    return [...this.#parts].map((ms) => Math.min(1, ms / this.#partMs));
  }

  #partOf(atMs: number): number {
    return Math.min(this.#parts.length - 1, Math.max(0, Math.floor((atMs - this.#fromMs) / this.#partMs)));
  }
}
