import { isUtf8 } from 'node:buffer';
import { readFileSync, type Stats, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { type Mistake, parseText, positionsIn } from '../json-text.ts';
import { checkDocument } from './policy-file-check.ts';
import { PolicyFileError, type PolicyProblem } from './policy-file-error.ts';
import type { PolicySettings } from './policy-file-members.ts';
import { longestFile } from './policy-file-schema.ts';

/** What a file says of each name. */
export type Policies = ReadonlyMap<string, PolicySettings>;

/** Reads a policy file at once. @throws {@link PolicyFileError} */
export function readPolicies(file: string): Policies {
  return parsePolicies(readBytesNow(file), file);
}

/** Reads the meaning of a policy file. @throws {@link PolicyFileError} with everything that is wrong. */
export function parsePolicies(bytes: Uint8Array, file: string): Policies {
  const text = new TextDecoder().decode(bytes); // leaves a byte order mark out
  if (!isUtf8(bytes)) throw failed(file, text, [{ offset: firstDamage(bytes, text), message: 'not UTF-8', rule: 'encoding' }]);
  const { tree, mistakes } = parseText(text);
  if (mistakes !== undefined) throw failed(file, text, mistakes);
  const { policies, problems } = checkDocument(tree);
  if (problems.length > 0) throw failed(file, text, problems);
  return policies;
}

function failed(file: string, text: string, mistakes: readonly (Mistake & Partial<PolicyProblem>)[]): PolicyFileError {
  const positionOf = positionsIn(text);
  return new PolicyFileError(
    file,
    mistakes.map(({ offset, ...problem }) => ({ pointer: '', ...problem, ...positionOf(offset) })),
  );
}

/** Where the text begins to differ from the bytes it was made of. */
function firstDamage(bytes: Uint8Array, text: string): number {
  const mark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const again = new TextEncoder().encode(text);
  let same = 0;
  while (same < again.length && again[same] === bytes[mark + same]) same += 1;
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(again.subarray(0, same)).replace(/\uFFFD$/, '').length;
}

/** The bytes of a policy file, read at once. @throws {@link PolicyFileError} */
export function readBytesNow(file: string): Uint8Array {
  try {
    checkStat(file, statSync(file));
    return readFileSync(file);
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** The bytes of a policy file. @throws {@link PolicyFileError} */
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
  if (!stats.isFile()) throw new PolicyFileError(file, [{ pointer: '', message: 'is not a regular file' }]);
  if (stats.size <= longestFile) return;
  const message = `is ${stats.size} bytes long; at most ${longestFile} are read`;
  throw new PolicyFileError(file, [{ pointer: '', message, rule: 'size' }]);
}

function unreadable(file: string, cause: unknown): PolicyFileError {
  if (cause instanceof PolicyFileError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  return new PolicyFileError(file, [{ pointer: '', message: code === 'ENOENT' ? 'there is no such file' : message }], { cause });
}
