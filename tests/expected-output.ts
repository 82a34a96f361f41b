/**
 * The lines an example says it prints, in the order of its source: what stands behind `//` on the line where a `console.log(…)`
 * ends, or the comment lines directly below it. A loop lists all its lines there.
 */
export function expectedOutput(source: string): string[] {
  const lines = source.split('\n');
  const expected: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    if (!/\bconsole\.log\(/.test(lines[at] ?? '')) continue;
    while (at < lines.length && !/;\s*(\/\/.*)?$/.test(lines[at] ?? '')) at += 1;
    const beside = /;\s*\/\/ ?(.*)$/.exec(lines[at] ?? '')?.[1];
    if (beside !== undefined) expected.push(beside);
    for (; beside === undefined && isComment(lines[at + 1]); at++) expected.push((lines[at + 1] ?? '').replace(/^\s*\/\/ ?/, ''));
  }
  return expected;
}

const isComment = (line: string | undefined) => /^\s*\/\//.test(line ?? '');

/** Whether a run printed these lines and no other; `…` in a line stands for any text within it. */
export function matchesOutput(stdout: string, expected: readonly string[]): boolean {
  const printed = stdout.trimEnd() === '' ? [] : stdout.trimEnd().split('\n');
  return printed.length === expected.length && printed.every((line, at) => pattern(expected[at] ?? '').test(line));
}

function pattern(line: string): RegExp {
  const parts = line.trimEnd().split('…');
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}\\s*$`);
}
