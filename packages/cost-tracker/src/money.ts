/**
 * Money as integer nano-dollars, so that sums are exact in every order.
 *
 * Text in, bigint inside, text out; nothing in between is a float.
 */

/** One billionth of a US dollar, the unit every amount is kept in. */
export type NanoUsd = bigint;

/** A ratio read from a decimal, kept exact. */
export interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

interface Decimal {
  readonly digits: bigint;
  readonly places: number;
}

const NANO_PLACES = 9;
const NANO_PER_USD = 10n ** 9n;
// A tenth of what a signed 64-bit column holds, so that one bad row cannot exhaust a sum.
const MAX_NANO = 10n ** 18n;
// Far above any amount that is money, and short enough that no text can keep the parser busy.
const MAX_TEXT = 64;
const PLAIN = /^(\d+)(?:\.(\d+))?$/;
const WITH_EXPONENT = /^(\d)(?:\.(\d+))?e([+-]\d+)$/;

function readDecimal(value: unknown, name: string): Decimal {
  const decimal = typeof value === 'number' ? fromNumber(value) : fromText(value);
  if (decimal) return decimal;
  const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, MAX_TEXT)) : String(value);
  throw new RangeError(`${name} must be a plain decimal of at least 0, such as '0.002', not ${shown}`);
}

function fromText(text: unknown): Decimal | undefined {
  const [, whole, fraction = ''] = typeof text === 'string' && text.length <= MAX_TEXT ? (PLAIN.exec(text) ?? []) : [];
  return whole === undefined ? undefined : shift(whole, fraction, 0);
}

/** Only a number prints itself with an exponent; a text that has one is more likely a mistake than an amount. */
function fromNumber(value: number): Decimal | undefined {
  const [, whole, fraction = '', exponent] = WITH_EXPONENT.exec(String(value)) ?? [];
  return whole === undefined ? fromText(String(value)) : shift(whole, fraction, Number(exponent));
}

function shift(whole: string, fraction: string, exponent: number): Decimal {
  const digits = BigInt(whole + fraction);
  const places = fraction.length - exponent;
  return places >= 0 ? { digits, places } : { digits: digits * 10n ** BigInt(-places), places: 0 };
}

function toNano({ digits, places }: Decimal): Fraction {
  return places <= NANO_PLACES
    ? { numerator: digits * 10n ** BigInt(NANO_PLACES - places), denominator: 1n }
    : { numerator: digits, denominator: 10n ** BigInt(places - NANO_PLACES) };
}

function withinRange(nano: NanoUsd, name: string): NanoUsd {
  if (nano > MAX_NANO) throw new RangeError(`${name} must be at most ${formatUsd(MAX_NANO)} USD, not ${formatUsd(nano)}`);
  return nano;
}

/** Reads an amount somebody wrote down (a limit, a price). A tenth decimal is a mistake there and is refused, not rounded. */
export function parseUsd(value: string | number, name: string): NanoUsd {
  const { numerator, denominator } = toNano(readDecimal(value, name));
  if (numerator % denominator !== 0n) {
    throw new RangeError(`${name} must have at most ${NANO_PLACES} decimals, not ${JSON.stringify(value)}`);
  }
  return withinRange(numerator / denominator, name);
}

/** Reads an amount somebody computed (what a call cost): rounded once, half to even, to the nano-dollar. */
export function roundUsd(value: string | number, name: string): NanoUsd {
  return withinRange(divideHalfEven(toNano(readDecimal(value, name))), name);
}

/** The whole number nearest to a fraction of at least 0, the even one of two. */
export function divideHalfEven({ numerator, denominator }: Fraction): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  if (twice < denominator || (twice === denominator && quotient % 2n === 0n)) return quotient;
  return quotient + 1n;
}

/** So many of something, of which `per` cost `usd`. */
export interface MoneyLine {
  /** How many. */
  readonly quantity: number;
  /** Decimal price of `per` of them. */
  readonly usd: string;
  /** How many `usd` is the price of. */
  readonly per: number;
}

/** Adds lines exactly and rounds their sum once, half to even, to the nano-dollar. */
export function sumUsd(lines: Iterable<MoneyLine>, name: string): NanoUsd {
  let sum: Fraction = { numerator: 0n, denominator: 1n };
  for (const { quantity, usd, per } of lines) {
    const price = toNano(decimalOf(usd, name));
    const line = { numerator: price.numerator * BigInt(quantity), denominator: price.denominator * BigInt(per) };
    sum = {
      numerator: sum.numerator * line.denominator + line.numerator * sum.denominator,
      denominator: sum.denominator * line.denominator,
    };
  }
  return withinRange(divideHalfEven(sum), name);
}

/** Writes a decimal somebody wrote down as plain text, every digit kept: `4e-7` becomes `'0.0000004'`. */
export function plainDecimal(value: string | number, name: string): string {
  return formatDecimal(readDecimal(value, name));
}

/** Multiplies two plain decimals, every digit kept. */
export function timesDecimal(a: string, b: string, name: string): string {
  const [left, right] = [decimalOf(a, name), decimalOf(b, name)];
  return formatDecimal({ digits: left.digits * right.digits, places: left.places + right.places });
}

/** A decimal of our own making, which may be longer than one that is read. */
function decimalOf(text: string, name: string): Decimal {
  const [, whole, fraction = ''] = PLAIN.exec(text) ?? [];
  return whole === undefined ? readDecimal(text, name) : shift(whole, fraction, 0);
}

function formatDecimal({ digits, places }: Decimal): string {
  const text = String(digits).padStart(places + 1, '0');
  const fraction = places === 0 ? '' : text.slice(-places).replace(/0+$/, '');
  return `${text.slice(0, text.length - places)}${fraction && `.${fraction}`}`;
}

/** Reads a ratio such as 0.9 by its decimal form, so that 1.1 is eleven tenths and not the float beside it. */
export function parseFraction(value: number, name: string): Fraction {
  const { digits, places } = readDecimal(value, name);
  return { numerator: digits, denominator: 10n ** BigInt(places) };
}

/** Writes an amount as a plain decimal: no exponent, no trailing zeros. */
export function formatUsd(nano: NanoUsd): string {
  const size = nano < 0n ? -nano : nano;
  const fraction = String(size % NANO_PER_USD)
    .padStart(NANO_PLACES, '0')
    .replace(/0+$/, '');
  return `${nano < 0n ? '-' : ''}${size / NANO_PER_USD}${fraction && `.${fraction}`}`;
}

/** Reads back what {@link formatUsd} wrote. */
export function readUsd(usd: string): NanoUsd {
  const [whole = '', fraction = ''] = usd.replace('-', '').split('.');
  const size = BigInt(`${whole}${fraction.padEnd(NANO_PLACES, '0')}`);
  return usd.startsWith('-') ? -size : size;
}
