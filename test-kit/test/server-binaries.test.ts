import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { requireServer, serverAvailable, serverBinary, tempDir } from '../src/index.ts';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

test('a program on the PATH is found, one that may not be executed is not', async () => {
  await using dir = tempDir();
  const path = join(dir.path, 'chromium');
  writeFileSync(path, '#!/bin/sh\n');
  vi.stubEnv('PATH', dir.path);
  chmodSync(path, 0o644);
  expect(serverBinary('chromium')).not.toBe(path);
  chmodSync(path, 0o755);
  expect(serverBinary('chromium')).toBe(path);
  expect(serverAvailable('chromium')).toBe(true);
});

test('a missing program is one loud line, and a failure in CI', () => {
  vi.stubEnv('PATH', '/nowhere');
  vi.stubEnv('CI', '');
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  expect([requireServer('chromium'), requireServer('chromium')]).toEqual([false, false]);
  expect(said).toHaveBeenCalledTimes(1);
  expect(said.mock.calls[0]?.[0]).toContain('SKIPPED: chromium');
  vi.stubEnv('CI', 'true');
  expect(() => requireServer('chromium')).toThrow('not installed');
});
