import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';

/**
 * Runs a shell script when this process dies, however it dies: a test runner ends its workers by signal, and no exit handler
 * sees that. The shell waits for the end of a pipe which only this process holds, in a group of its own, so that Ctrl-C does
 * not reach it first. Whoever no longer needs it kills it.
 */
export function guard(script: string, ...args: string[]): ChildProcess {
  const child = spawn('/bin/sh', ['-c', `read -r _; ${script}`, 'guard', ...args], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.unref();
  (child.stdin as Socket).unref();
  return child;
}
