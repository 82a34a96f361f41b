const nanoPlaces = 9;

/** Billionths of a decimal such as `'0.25'`, exactly. */
export function nano(decimal: string): bigint {
  const [whole = '0', fraction = ''] = decimal.replace('-', '').split('.');
  const size = BigInt(whole + fraction.padEnd(nanoPlaces, '0'));
  return decimal.startsWith('-') ? -size : size;
}

/** An amount for people: cents, or three digits of what is less than a dollar. */
export function usd(decimal: string | number): string {
  const size = Math.abs(Number(decimal));
  const places = size === 0 || size >= 1 ? 2 : Math.min(nanoPlaces, Math.max(2, 2 - Math.floor(Math.log10(size))));
  const format = new Intl.NumberFormat('en-US', {
    style: 'currency',
    currency: 'USD',
    minimumFractionDigits: 2,
    maximumFractionDigits: places,
  });
  // A decimal text is rounded as it is written, where a number would have been rounded before.
  return format.format(decimal as number);
}

/** A count for people. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** A large count in few characters: `1.2M`. */
export function short(value: number): string {
  return new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 }).format(value);
}

/** A measured value, with at most three decimals. */
export function decimal(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 3 });
}

/** How much of a limit is spent, in percent, cut off after a tenth: what has not reached 90 % never reads as 90 %. */
export function percent(spentUsd: string, limitUsd: string): string {
  const thousandths = (nano(spentUsd) * 1000n) / nano(limitUsd);
  return `${thousandths / 10n}${thousandths % 10n === 0n ? '' : `.${thousandths % 10n}`} %`;
}

/** A fraction in percent. */
export function fraction(value: number): string {
  return `${decimal(value * 100)} %`;
}

/** An instant for people, in a zone. */
export function instant(iso: string, timeZone: string): string {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
  });
  return `${format.format(new Date(iso))} ${timeZone}`;
}

/** The beginning of a part of a series for people: `14:00`, `15 Mar` or `Mar 2026`. */
export function period(text: string): string {
  if (text.length > 10) return text.slice(11);
  const monthly = text.length === 7;
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: 'UTC',
    month: 'short',
    ...(monthly ? { year: 'numeric' } : { day: 'numeric' }),
  });
  return format.format(new Date(`${text}${monthly ? '-01' : ''}T00:00:00Z`));
}

/** How long a budget runs. */
export function budgetPeriod(value: 'day' | 'week' | 'month' | { readonly rollingMs: number }): string {
  if (typeof value === 'string') return value;
  const minutes = value.rollingMs / 60_000;
  if (minutes < 120) return `last ${decimal(minutes)} min`;
  return minutes < 2_880 ? `last ${decimal(minutes / 60)} h` : `last ${decimal(minutes / 1_440)} days`;
}
