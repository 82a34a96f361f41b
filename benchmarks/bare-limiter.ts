/**
 * The least that a limiter in memory can do: find the key, read the clock, decide by one number. Says yes or no and nothing
 * else, checks nothing, forgets nothing.
 */
export function bareLimiter(burst: number, perMs: number): (key: string) => boolean {
  const places = new Map<string, number>();
  let fullAt = new Float64Array(256);
  const token = 1 / perMs;
  const capacity = burst * token;
  return (key) => {
    let at = places.get(key);
    if (at === undefined) {
      at = places.size;
      if (at === fullAt.length) {
        const larger = new Float64Array(at * 2);
        larger.set(fullAt);
        fullAt = larger;
      }
      places.set(key, at);
    }
    const now = performance.now();
    const next = Math.max(fullAt[at] as number, now) + token;
    if (next - now > capacity) return false;
    fullAt[at] = next;
    return true;
  };
}
