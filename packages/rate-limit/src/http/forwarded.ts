const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const pair = `(${token})=(?:(${token})|"((?:[^"\\\\]|\\\\.)*)")`;
const step = new RegExp(`[ \\t]*(?:${pair}[ \\t]*)?([,;]|$)`, 'y');

/**
 * The `for` of each element of a `Forwarded` header (RFC 7239 §4), in its order and '' where an element has none; nothing at all where the
 * header is malformed, so that no quote of a client can hide what a proxy has added.
 */
export function forwardedFor(header: string): readonly string[] {
  const found = [''];
  for (step.lastIndex = 0; ; ) {
    const match = step.exec(header);
    if (match === null) return [];
    const [, name, plain, quoted = '', separator] = match;
    if (name?.toLowerCase() === 'for') found[found.length - 1] = plain ?? quoted.replace(/\\(.)/g, '$1');
    if (separator === '') return found;
    if (separator === ',') found.push('');
  }
}
