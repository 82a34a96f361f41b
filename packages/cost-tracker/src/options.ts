/** The checks every option passes at the door. Each refusal names the option, the value and what is allowed. */

/** Refuses a value that is not an object, and a key nobody reads: a misspelt option must not be a silent default. */
export function checkKeys(value: unknown, known: readonly string[], name: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RangeError(`${name} must be an object, not ${shown(value)}`);
  }
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw new RangeError(`${name}.${key} is unknown; known are ${known.join(', ')}`);
  }
}

/** Accepts a text that is not empty. */
export function checkText(value: unknown, name: string): string {
  if (typeof value === 'string' && value.length > 0) return value;
  throw new RangeError(`${name} must be a text that is not empty, not ${shown(value)}`);
}

/** Accepts one of a few words. */
export function checkOneOf<const Word extends string>(value: unknown, words: readonly Word[], name: string): Word {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw new RangeError(`${name} must be one of ${words.join(', ')}, not ${shown(value)}`);
}

/** Accepts a finite number from `min` to `max`; written so that NaN cannot pass. */
export function checkNumber(value: unknown, min: number, max: number, name: string): number {
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw new RangeError(`${name} must be a number from ${min} to ${max}, not ${shown(value)}`);
}

/** Accepts an object that can do what is asked of it. */
export function checkMethods<T extends object>(value: T, methods: readonly string[], name: string): T {
  const missing = methods.find((method) => typeof (value as Record<string, unknown>)?.[method] !== 'function');
  if (missing === undefined) return value;
  throw new RangeError(`${name} must have the method ${missing}`);
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
