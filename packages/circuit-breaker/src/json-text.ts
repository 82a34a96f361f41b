import { createScanner, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';

/** How deep objects and arrays may lie in each other: the parser calls itself, and a file must not overflow the stack. */
export const deepestNesting = 64;

/** Something wrong at a place of a text. */
export interface Mistake {
  /** Where, counted in UTF-16 units from 0. */
  readonly offset: number;
  readonly message: string;
  /** The rule of {@link policyFileSchema}'s `x-rules` that it breaks, where a schema cannot hold it. */
  readonly rule?: string;
}

/** A text as a tree that knows its places, or what is wrong with it. */
export type ParsedText =
  | { readonly tree: Node; readonly mistakes?: never }
  | { readonly tree?: never; readonly mistakes: readonly Mistake[] };

/** Reads JSON with comments and trailing commas, or `plain` JSON; never throws. */
export function parseText(text: string, plain = false): ParsedText {
  const tooDeep = firstTooDeep(text);
  if (tooDeep !== undefined) {
    return { mistakes: [{ offset: tooDeep, message: `nested deeper than ${deepestNesting} levels`, rule: 'depth' }] };
  }
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: !plain, disallowComments: plain });
  if (tree !== undefined && errors.length === 0) return { tree };
  if (tree === undefined && errors.every(({ error }) => printParseErrorCode(error) === 'ValueExpected')) {
    return { mistakes: [{ offset: 0, message: 'the file is empty; expected a JSON object' }] };
  }
  return { mistakes: errors.map(({ error, offset }) => ({ offset, message: `not JSON: ${printParseErrorCode(error)}` })) };
}

function firstTooDeep(text: string): number | undefined {
  const scanner = createScanner(text, true);
  for (let depth = 0; ; ) {
    scanner.scan();
    const offset = scanner.getTokenOffset();
    const token = text[offset];
    if (token === undefined) return undefined;
    if (token === '{' || token === '[') depth += 1;
    if (token === '}' || token === ']') depth -= 1;
    if (depth > deepestNesting) return offset;
  }
}

/** Line and column of an offset, both counted from 1. Goes through the text once, however many offsets are asked for. */
export function positionsIn(text: string): (offset: number) => { readonly line: number; readonly column: number } {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    let [line, after] = [0, starts.length];
    while (after - line > 1) {
      const middle = (line + after) >> 1;
      if ((starts[middle] ?? 0) <= offset) line = middle;
      else after = middle;
    }
    return { line: line + 1, column: offset - (starts[line] ?? 0) + 1 };
  };
}

/** A JSON pointer (RFC 6901) from the members that lead to a place. */
export function pointerOf(path: readonly string[]): string {
  return path.map((member) => `/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** A member of an object: its name, its value and where it begins. */
export interface Member {
  readonly name: string;
  readonly value: Node;
  readonly offset: number;
}

/** The members of an object node, in their order. */
export function membersOf(object: Node): Member[] {
  return (object.children ?? []).flatMap(({ offset, children: [key, value] = [] }) =>
    key === undefined || value === undefined ? [] : [{ name: String(key.value), value, offset }],
  );
}
