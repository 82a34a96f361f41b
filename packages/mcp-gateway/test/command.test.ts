import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TempDir, tempDir } from '@tidegate/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandExists } from '../src/command.ts';

let folder: TempDir;
beforeAll(() => {
  folder = tempDir('command-');
  mkdirSync(join(folder.path, 'bin', 'folder'), { recursive: true });
  writeFileSync(join(folder.path, 'bin', 'tool'), '#!/bin/sh\n');
  writeFileSync(join(folder.path, 'bin', 'text'), '');
  chmodSync(join(folder.path, 'bin', 'tool'), 0o755);
  chmodSync(join(folder.path, 'bin', 'text'), 0o644);
  symlinkSync('tool', join(folder.path, 'bin', 'link'));
  symlinkSync('nowhere', join(folder.path, 'bin', 'broken'));
});
afterAll(() => folder.remove());

test.each([
  ['tool', true],
  ['link', true],
  ['text', false],
  ['folder', false],
  ['broken', false],
  ['none', false],
  ['./bin/tool', true],
  ['bin/tool', true],
  ['./bin/text', false],
  ['./bin/folder', false],
  ['./tool', false],
  ['../bin/tool', false],
])("'%s' can be run: %s", (command, expected) => {
  const path = ['/no/such/folder', '', join(folder.path, 'bin')].join(':');
  expect(commandExists(command, folder.path, path)).toBe(expected);
});

test('an absolute path needs neither folder nor PATH', () => {
  expect(commandExists(join(folder.path, 'bin', 'tool'), '/', '')).toBe(true);
  expect(commandExists(join(folder.path, 'bin', 'none'), '/', '')).toBe(false);
  expect(commandExists('tool', join(folder.path, 'bin'), '/usr/bin')).toBe(false);
});
