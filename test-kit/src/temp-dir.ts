import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of its own that is gone after the test. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** Removes the folder with everything in it; may be called again. */
  remove(): void;
}

const alive = new Set<string>();
let watching = false;

function removeAll(): void {
  for (const path of alive) rmSync(path, { recursive: true, force: true });
}

/** Makes an empty folder. What nobody removed is removed when the process exits. */
export function tempDir(prefix = 'tidegate-'): TempDir {
  if (!watching) process.once('exit', removeAll);
  watching = true;
  const path = mkdtempSync(join(tmpdir(), prefix));
  alive.add(path);
  const remove = (): void => {
    alive.delete(path);
    rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  };
  return { path, remove, [Symbol.asyncDispose]: async () => remove() };
}
