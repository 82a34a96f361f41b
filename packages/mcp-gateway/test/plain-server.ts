import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('./plain-server.mjs', import.meta.url));

/** A command line of the server without sessions. */
export const plainModern = { command: process.execPath, args: [script, 'modern'] };

/** Starts a program that prints where it listens and ends with its input. */
export async function listening(args: readonly string[]): Promise<{ readonly url: string } & AsyncDisposable> {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  const early = exit.then(([code, signal]) => Promise.reject(new Error(`it ended before it listened: ${code ?? signal}`)));
  early.catch(() => {});
  const [url] = (await Promise.race([once(createInterface(child.stdout), 'line'), early])) as [string];
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await exit;
    },
  };
}

/** Starts the server with sessions. */
export const plainLegacy = () => listening([script, 'legacy']);
