import { createScanner, type Node, type ParseError, parseTree, printParseErrorCode } from 'jsonc-parser';

/** How deep objects and arrays may lie in each other: the parser calls itself, and a file must not overflow the stack. */
const deepestNesting = 64;

/** Something wrong at a place of a text. */
export interface Mistake {
  /** Where, counted in UTF-16 units from 0. */
  readonly offset: number;
  readonly message: string;
}

/** A text as a tree that knows its places, or what is wrong with it. */
export type ParsedText =
  | { readonly tree: Node; readonly mistakes?: never }
  | { readonly tree?: never; readonly mistakes: readonly Mistake[] };

/** Reads JSON with comments and trailing commas; never throws. */
export function parseText(text: string): ParsedText {
  const tooDeep = firstTooDeep(text);
  if (tooDeep !== undefined) return { mistakes: [{ offset: tooDeep, message: `nested deeper than ${deepestNesting} levels` }] };
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true });
  if (tree === undefined && text.trim() === '') return { mistakes: [{ offset: 0, message: 'the file is empty' }] };
  const mistakes = errors.map(({ error, offset }) => ({ offset, message: `not JSON: ${printParseErrorCode(error)}` }));
  if (tree === undefined || mistakes.length > 0) return { mistakes };
  const twice = duplicates(tree);
  return twice.length > 0 ? { mistakes: twice } : { tree };
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

/** Of two members of one name one would be read and one be missed. */
function duplicates(node: Node): Mistake[] {
  const seen = new Set<unknown>();
  const here =
    node.type !== 'object'
      ? []
      : (node.children ?? []).flatMap(({ offset, children: [key] = [] }) => {
          const again = seen.has(key?.value);
          seen.add(key?.value);
          return again ? [{ offset, message: `${JSON.stringify(key?.value)} is there twice` }] : [];
        });
  return [...here, ...(node.children ?? []).flatMap(duplicates)];
}

/** Line and column of an offset, both counted from 1. */
export function positionIn(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}

/** A JSON pointer (RFC 6901) from the members that lead to a place. */
export function pointerOf(path: readonly string[]): string {
  return path.map((member) => `/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
