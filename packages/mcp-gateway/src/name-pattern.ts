/** A test for names that fit one of these patterns, in which `*` stands for any text. */
export function fitsOneOf(patterns: readonly string[]): (name: string) => boolean {
  const tests = patterns.map(testFor);
  return (name) => tests.some((fits) => fits(name));
}

/** Not a regular expression: names are a server's or a client's, and this one's time does not depend on how nearly they fit. */
function testFor(pattern: string): (name: string) => boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return (name) => name === pattern;
  return (name) => {
    if (!name.startsWith(first)) return false;
    let at = first.length;
    for (const part of rest) {
      const found = name.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return name.length - last.length >= at && name.endsWith(last);
  };
}
