import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, cpus, loadavg, platform } from 'node:os';

/** Where figures were measured. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly system: string;
}

/** This machine. */
export function machine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown processor',
    cores: processors.length,
    node: process.version,
    system: `${platform()} ${arch()}`,
  };
}

/** The load average of the last minute. */
export function load(): number {
  return Number((loadavg()[0] ?? 0).toFixed(2));
}

/** The installed version of each rival. */
export function rivalVersions(): Record<string, string> {
  const require = createRequire(import.meta.url);
  const { devDependencies } = require('./package.json') as { devDependencies: Record<string, string> };
  const rivals = Object.keys(devDependencies).filter((name) => !name.startsWith('@tidegate/'));
  return Object.fromEntries(rivals.map((name) => [name, installedVersion(name)]));
}

function installedVersion(name: string): string {
  const manifest = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
