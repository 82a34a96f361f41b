import { accessSync, constants, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The real programs that tests start. */
export type ServerName = 'redis' | 'nats' | 'postgres' | 'chromium';

const NAMES: Record<ServerName, string[]> = {
  redis: ['redis-server', 'valkey-server'],
  nats: ['nats-server'],
  postgres: ['postgres'],
  chromium: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
};

const DEBIAN_POSTGRES = '/usr/lib/postgresql';
const missed = new Set<ServerName>();

/** The path of the program, undefined where it is not installed. */
export function serverBinary(name: ServerName): string | undefined {
  return NAMES[name].flatMap((file) => folders(name).map((folder) => join(folder, file))).find(isExecutable);
}

/** Whether the program is installed. */
export function serverAvailable(name: ServerName): boolean {
  return serverBinary(name) !== undefined;
}

/**
 * For `describe.skipIf(!requireServer('redis'))`: true where the program is installed. Where it is not, says so once on
 * stderr and answers false, or throws when `CI=true`, because a skipped test proves nothing.
 */
export function requireServer(name: ServerName): boolean {
  if (serverAvailable(name)) return true;
  const message = `${NAMES[name].join(' or ')} is not installed: the tests that need it do not run`;
  if (process.env['CI'] === 'true') throw new Error(message);
  if (!missed.has(name)) process.stderr.write(`\n!!! SKIPPED: ${message}\n\n`);
  missed.add(name);
  return false;
}

function folders(name: ServerName): string[] {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  // Debian keeps Postgres out of the PATH, and servers out of the PATH of ordinary users.
  return [...path, '/usr/local/sbin', '/usr/sbin', ...(name === 'postgres' ? debianPostgres() : [])];
}

function debianPostgres(): string[] {
  try {
    const versions = readdirSync(DEBIAN_POSTGRES).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(DEBIAN_POSTGRES, version, 'bin'));
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
