import { execFile, execFileSync } from 'node:child_process';
import { chownSync, existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ManagedServer } from './managed-server.ts';
import { type ServerName, serverBinary } from './server-binaries.ts';
import { natsAnswers, postgresAnswers, redisAnswers } from './server-readiness.ts';

const run = promisify(execFile);

export interface LaunchOptions {
  /** Further arguments of the server, such as `['--appendonly', 'yes']`; they win over the launcher's own. */
  args?: string[];
}

/** Redis (or Valkey) that keeps nothing on disk unless `args` say so. */
export function startRedis({ args = [] }: LaunchOptions = {}): Promise<ManagedServer> {
  return ManagedServer.start({
    name: 'redis',
    command: installed('redis'),
    args: (port, folder) => ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '', ...args],
    url: (port) => `redis://127.0.0.1:${port}`,
    answers: redisAnswers,
    endSignal: 'SIGTERM',
  });
}

/** NATS with JetStream, whose files are in the data folder. */
export function startNats({ args = [] }: LaunchOptions = {}): Promise<ManagedServer> {
  return ManagedServer.start({
    name: 'nats',
    command: installed('nats'),
    args: (port, folder) => ['--addr', '127.0.0.1', '--port', `${port}`, '--jetstream', '--store_dir', folder, ...args],
    url: (port) => `nats://127.0.0.1:${port}`,
    answers: natsAnswers,
    endSignal: 'SIGTERM',
  });
}

/**
 * Postgres with one superuser `postgres` that needs no password. It does not wait for the disk (`fsync=off`): what was
 * committed survives the death of every process, not a power failure.
 */
export function startPostgres({ args = [] }: LaunchOptions = {}): Promise<ManagedServer> {
  // a link may lie where the user that runs it cannot look, and initdb is beside the program itself
  const command = realpathSync(installed('postgres'));
  const user = process.getuid?.() === 0 ? postgresUser() : undefined;
  const data = (folder: string): string => join(folder, 'data');
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'fsync=off',
    // Under the data folder instead of /dev/shm, where a SIGKILL would leave it.
    'dynamic_shared_memory_type=mmap',
  ];
  return ManagedServer.start({
    name: 'postgres',
    command,
    args: (port, folder) => ['-D', data(folder), '-p', `${port}`, ...settings.flatMap((setting) => ['-c', setting]), ...args],
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    answers: postgresAnswers,
    endSignal: 'SIGINT',
    user,
    async prepare(folder) {
      if (user) chownSync(folder, user.uid, user.gid);
      const initdb = join(dirname(command), 'initdb');
      const options = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--no-locale', '--no-sync', '--no-instructions'];
      await run(initdb, ['-D', data(folder), ...options], { cwd: folder, ...user });
    },
    sweep: (folder) => removeSharedMemory(join(data(folder), 'postmaster.pid')),
  });
}

function installed(name: ServerName): string {
  const binary = serverBinary(name);
  if (binary === undefined) throw new Error(`${name} is not installed`);
  return binary;
}

function postgresUser(): { uid: number; gid: number } {
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** A Postgres that was killed leaves its System V segment, whose id is the second word of line 7 of its pid file. */
function removeSharedMemory(pidFile: string): void {
  if (!existsSync(pidFile)) return;
  const segment = readFileSync(pidFile, 'utf8').split('\n')[6]?.trim().split(/\s+/)[1];
  if (segment === undefined) return;
  try {
    execFileSync('ipcrm', ['-m', segment], { stdio: 'ignore' });
  } catch {
    // Gone already, or a system without ipcrm.
  }
}
