import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { guard } from './guard.ts';

/** A folder of its own that is gone after the test. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** Removes the folder with everything in it; may be called again. */
  remove(): void;
}

let root: string | undefined;

/** Makes an empty folder. What nobody removed is removed after the end of this process, even by SIGKILL. */
export function tempDir(prefix = 'dir-'): TempDir {
  root ??= guardedRoot();
  const path = mkdtempSync(join(root, prefix));
  const remove = (): void => rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  return { path, remove, [Symbol.asyncDispose]: async () => remove() };
}

function guardedRoot(): string {
  // as root, some servers run as another user, who has to get to the folder
  const base = process.getuid?.() !== 0 || passable(tmpdir()) ? tmpdir() : '/tmp';
  const path = mkdtempSync(join(base, 'tidegate-'));
  // Servers that run as another user pass through to their own folder.
  chmodSync(path, 0o711);
  // Twice, because a server that dies at the same time may still write.
  guard('rm -rf "$1" || { sleep 1; rm -rf "$1"; }', path);
  return path;
}

/** Whether every user may go through the folder and all above it. */
function passable(folder: string): boolean {
  return (statSync(folder).mode & 0o001) !== 0 && (dirname(folder) === folder || passable(dirname(folder)));
}
