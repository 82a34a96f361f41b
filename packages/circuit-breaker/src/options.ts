import type { Clock } from './clock.ts';

/** The longest delay that the platform's timers keep (2³¹ − 1 ms, about 24.8 days); longer ones would fire at once. */
export const longestTimerMs = 2_147_483_647;

/** `value` as a message can hold it, whatever it is. */
export function shown(value: unknown): string {
  try {
    const text = String(value);
    return text.length > 100 ? `${text.slice(0, 100)}…` : text;
  } catch {
    return `an ${typeof value}`; // its toString is no function, or throws
  }
}

/** Refuses options that are not in `known`, so that a misspelt one is not silently the default. */
export function onlyKnown(owner: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw new RangeError(`${owner}: unknown option '${key}'; known are ${known.join(', ')}`);
  }
}

/** Returns `value` if it is a whole number from `min` to `max`. */
export function wholeNumber(option: string, value: number, min: number, max: number): number {
  if (!(Number.isInteger(value) && value >= min && value <= max)) {
    throw new RangeError(`${option} must be a whole number from ${min} to ${max}, not ${shown(value)}`);
  }
  return value;
}

/** Returns `value` if it is a finite number from `min` to `max`. */
export function numberWithin(option: string, value: number, min: number, max: number): number {
  if (!(typeof value === 'number' && value >= min && value <= max)) {
    throw new RangeError(`${option} must be a number from ${min} to ${max}, not ${shown(value)}`);
  }
  return value;
}

/** Returns `value` if it is a fraction above 0 and at most 1. */
export function fraction(option: string, value: number): number {
  if (!(typeof value === 'number' && value > 0 && value <= 1)) {
    const hint = typeof value === 'number' && value > 1 && value <= 100 ? ` (for ${value} % write ${value / 100})` : '';
    throw new RangeError(`${option} must be a fraction above 0 and at most 1, not ${shown(value)}${hint}`);
  }
  return value;
}

/** Returns `value` if it is a boolean. */
export function trueOrFalse(option: string, value: boolean): boolean {
  if (typeof value !== 'boolean') throw new RangeError(`${option} must be true or false, not ${shown(value)}`);
  return value;
}

/** Returns `value` if it is a string. */
export function textOf(option: string, value: string): string {
  if (typeof value !== 'string') throw new RangeError(`${option} must be a string, not ${shown(value)}`);
  return value;
}

/** Returns `value` if it is a function. */
export function functionOf<F>(option: string, value: F): F {
  if (typeof value !== 'function') throw new RangeError(`${option} must be a function, not ${shown(value)}`);
  return value;
}

/** Returns `clock` if it is one. */
export function clockOf<C extends object>(clock: C): C {
  for (const method of ['now', 'wall', 'setTimeout', 'clearTimeout'] as const)
    functionOf(`clock.${method}`, (clock as Partial<Clock>)?.[method]);
  return clock;
}

/** Returns `value` if it is one of those that are allowed. */
export function oneOf<T>(option: string, value: T, allowed: readonly unknown[]): T {
  if (!allowed.includes(value)) throw new RangeError(`${option} must be one of ${allowed.join(', ')}, not ${shown(value)}`);
  return value;
}
