import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must, run } from './command.ts';
import { expectedOutput, matchesOutput } from './expected-output.ts';
import { anchorsOf, fencesOf, linksOf } from './markdown.ts';
import { packages, root } from './workspace.ts';

const examples = readdirSync(join(root, 'examples')).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
const code = /^(ts|tsx|typescript|js|jsx|javascript|mts|cts|mjs|cjs)$/;

/** What a README shows of an example: all from its first import of ours on; fakes stand above it. */
function shownPart(source: string): string | undefined {
  const start = source.search(/^import\b[^;]*?from '@tidegate\//m);
  return start < 0 ? undefined : source.slice(start).trimEnd();
}

function codeFencesOf(file: string) {
  return fencesOf(readFileSync(file, 'utf8')).filter(({ language }) => code.test(language));
}

const readmes = [join(root, 'README.md'), ...packages.map(({ folder }) => join(folder, 'README.md'))].map((file) => ({
  file,
  name: relative(root, file),
}));

describe.each(readmes)('$name', ({ file, name }) => {
  test('stands', () => expect(existsSync(file)).toBe(true));

  test('shows code only from examples that run', () => {
    const fences = codeFencesOf(file);
    if (name !== 'README.md') expect(fences.length, 'a package README shows an example').toBeGreaterThan(0);
    for (const { text, line } of fences) {
      const [first = '', ...shown] = text.trimEnd().split('\n');
      const example = /^\/\/ (examples\/[\w.-]+\.ts)$/.exec(first)?.[1] ?? expect.fail(`line ${line} of ${name} names no example`);
      expect(examples.map((each) => `examples/${each}`)).toContain(example);
      expect(shown.join('\n').trim()).toBe(shownPart(readFileSync(join(root, example), 'utf8')));
    }
  });
});

describe('examples', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidegate-examples-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const tsx = pathToFileURL(join(root, 'node_modules/tsx/dist/loader.mjs')).href;
  const runExample = (file: string) =>
    run(process.execPath, ['--import', tsx, '--conditions=@tidegate/source', '--no-warnings', file], { cwd: folder });

  test.each(examples)('%s prints what its comments say', async (example) => {
    const file = join(root, 'examples', example);
    const { code: exit, stdout, output } = await runExample(file);
    expect(exit, output).toBe(0);
    const expected = expectedOutput(readFileSync(file, 'utf8'));
    if (!matchesOutput(stdout, expected)) expect(stdout.trimEnd()).toBe(expected.join('\n'));
  });
});

test('every relative link in the documents leads somewhere', async () => {
  const tracked = await must('git', ['ls-files', '-co', '--exclude-standard', '*.md'], { cwd: root });
  const documents = tracked.stdout
    .split('\n')
    .filter((name) => name !== '' && existsSync(join(root, name)))
    .map((name) => join(root, name));
  expect(documents).toContain(join(root, 'README.md'));
  const broken = documents.flatMap((document) => {
    const links = linksOf(readFileSync(document, 'utf8')).filter((link) => !leadsSomewhere(document, link));
    return links.map((link) => `${relative(root, document)}: ${link}`);
  });
  expect(broken).toEqual([]);
});

function leadsSomewhere(document: string, link: string): boolean {
  if (/^[a-z][a-z+.-]*:/i.test(link)) return true;
  const [path = '', anchor] = decodeURIComponent(link).split('#');
  const target = path === '' ? document : resolve(dirname(document), path);
  if (!existsSync(target)) return false;
  return anchor === undefined || !target.endsWith('.md') || anchorsOf(readFileSync(target, 'utf8')).includes(anchor);
}
