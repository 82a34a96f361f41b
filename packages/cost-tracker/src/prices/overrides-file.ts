import { isUtf8 } from 'node:buffer';
import { readFileSync, type Stats, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { findNodeAtLocation, getNodeValue, type Node } from 'jsonc-parser';
import { checkKeys } from '../options.ts';
import { type Mistake, parseText, pointerOf, positionIn } from './json-text.ts';
import { PriceFileError } from './price-file-error.ts';
import { OverrideProblem, type PriceOverride, type ReadOverride, readOverride } from './price-override.ts';

/** The longest file that is read, in bytes. */
const LONGEST_FILE = 1_048_576;

/** Reads the meaning of a file. @throws {@link PriceFileError} with everything that is wrong. */
export function parseOverrides(bytes: Uint8Array, file: string): readonly ReadOverride[] {
  if (!isUtf8(bytes)) throw new PriceFileError(file, [{ pointer: '', message: 'is not UTF-8' }]);
  const text = new TextDecoder().decode(bytes); // leaves a byte order mark out
  const failed = (mistakes: readonly (Mistake & { readonly pointer?: string })[]) =>
    new PriceFileError(
      file,
      [...mistakes]
        .sort((a, b) => a.offset - b.offset)
        .map(({ offset, ...problem }) => ({ pointer: '', ...problem, ...positionIn(text, offset) })),
    );
  const { tree, mistakes } = parseText(text);
  if (mistakes !== undefined) throw failed(mistakes);
  const problems: (Mistake & { readonly pointer: string })[] = [];
  const tried = <T>(path: readonly string[], check: () => T): T[] => {
    try {
      return [check()];
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const whole = [...path, ...(error instanceof OverrideProblem ? error.path : [])];
      problems.push({ pointer: pointerOf(whole), message: error.message, offset: placeOf(tree, whole) });
      return [];
    }
  };
  const overrides = listIn(tree, tried).flatMap((override, index) =>
    tried(['overrides', String(index)], () => readOverride(override, `overrides[${index}]`)),
  );
  if (problems.length > 0) throw failed(problems);
  return overrides;
}

function listIn(tree: Node, tried: <T>(path: readonly string[], check: () => T) => T[]): readonly PriceOverride[] {
  const document: unknown = getNodeValue(tree);
  return tried([], () => {
    checkKeys(document, ['$schema', 'overrides'], 'the file');
    const { overrides } = document as { readonly overrides: unknown };
    if (!Array.isArray(overrides)) throw new RangeError("the file must have 'overrides', a list");
    return overrides as PriceOverride[];
  }).flat();
}

/** Where a member is, or the nearest thing around it that there is. */
function placeOf(tree: Node, path: readonly string[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = findNodeAtLocation(
      tree,
      path.slice(0, length).map((step) => (/^\d+$/.test(step) ? Number(step) : step)),
    );
    if (node !== undefined) return node.parent?.type === 'property' ? node.parent.offset : node.offset;
  }
  return 0;
}

/** The bytes of a file, read at once. @throws {@link PriceFileError} */
export function readBytesNow(file: string): Uint8Array {
  try {
    checkStat(file, statSync(file));
    return readFileSync(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** The bytes of a file. @throws {@link PriceFileError} */
export async function readBytes(file: string): Promise<Uint8Array> {
  try {
    checkStat(file, await stat(file));
    return await readFile(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** A pipe would be waited for without end, and a file of gigabytes is somebody's mistake. */
function checkStat(file: string, stats: Stats): void {
  if (!stats.isFile()) throw new PriceFileError(file, [{ pointer: '', message: 'is not a regular file' }]);
  if (stats.size > LONGEST_FILE) {
    throw new PriceFileError(file, [{ pointer: '', message: `is ${stats.size} bytes long; at most ${LONGEST_FILE} are read` }]);
  }
}

function unreadable(file: string, cause: unknown): PriceFileError {
  if (cause instanceof PriceFileError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  return new PriceFileError(file, [{ pointer: '', message: code === 'ENOENT' ? 'there is no such file' : message }], { cause });
}
