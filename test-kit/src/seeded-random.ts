const WARM_UP = 16;

/**
 * Numbers in [0, 1) that are the same for the same seed: xorshift32 (G. Marsaglia, "Xorshift RNGs", 2003), good enough to
 * choose faults with and for nothing else.
 */
export function seededRandom(seed: number): () => number {
  // Spread by an odd factor, so that neighbouring seeds differ in many bits; xorshift never leaves 0, hence never starts there.
  let state = Math.imul(seed, 0x9e3779b1) || 0x9e3779b1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < WARM_UP; i++) next();
  return next;
}
