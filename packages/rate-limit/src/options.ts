/** Refuses options that are not in `known`, so that a misspelt one is not silently the default. */
export function onlyKnown(owner: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw new RangeError(`${owner}: unknown option '${key}'; known are ${known.join(', ')}`);
  }
}

/** Returns `value` if it is a whole number from `min` to `max`. */
export function wholeNumber(option: string, value: number, min: number, max: number): number {
  if (!(Number.isInteger(value) && value >= min && value <= max)) {
    throw new RangeError(`${option} must be a whole number from ${min} to ${max}, not ${String(value)}`);
  }
  return value;
}

/** Returns `value` if it is a number from `min` to `max`. */
export function numberWithin(option: string, value: number, min: number, max: number): number {
  if (!(typeof value === 'number' && value >= min && value <= max)) {
    throw new RangeError(`${option} must be a number from ${min} to ${max}, not ${String(value)}`);
  }
  return value;
}
