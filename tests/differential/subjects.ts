import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TempDir, tempDir } from '@tidegate/test-kit';
import { root } from '../workspace.ts';

export type Arguments = Record<string, unknown>;

/** A server of npm with everything that it is asked. */
export interface Subject {
  readonly name: string;
  /** Starts it over stdio, with an environment that is the same for everybody. */
  readonly command: { readonly command: string; readonly args: string[] };
  /** Brings its folder into the state that the calls begin with. */
  readonly reset: () => void;
  /** Valid arguments of every tool, in the order in which they are called. */
  readonly tools: readonly (readonly [name: string, args: Arguments])[];
  readonly prompts: Readonly<Record<string, Record<string, string>>>;
  /** Resources beyond the listed ones: what the templates expand to. */
  readonly resources: readonly string[];
  /** Parameters of `completion/complete`. */
  readonly completions: readonly { readonly ref: Arguments; readonly argument: Arguments; readonly context?: Arguments }[];
  /** How much of its account there must be, so that nothing is equal because it is empty. */
  readonly size: {
    readonly tools: number;
    readonly reads: number;
    readonly prompts: number;
    readonly calls: number;
    readonly progress: number;
  };
  /** Tools whose answers are errors. */
  readonly failing: readonly string[];
}

type Told = Pick<Subject, 'tools' | 'size'> & Partial<Subject>;

/** `env -i` gives the server these variables in this order and no others, whoever starts it. */
function subject(name: string, env: Readonly<Record<string, string>>, args: readonly string[], told: Told): Subject {
  const variables = Object.entries({ PATH: process.env['PATH'] ?? '', ...env }).map(([key, value]) => `${key}=${value}`);
  const program = join(root, 'tests/node_modules/.bin', `mcp-server-${name}`);
  return {
    name,
    command: { command: 'env', args: ['-i', ...variables, program, ...args] },
    reset: () => {},
    prompts: {},
    resources: [],
    completions: [],
    failing: [],
    ...told,
  };
}

/** What server-everything can do for any client. */
function everything({ path }: TempDir): Subject {
  const department = { ref: { type: 'ref/prompt', name: 'completable-prompt' }, argument: { name: 'department', value: 'E' } };
  return subject('everything', { HOME: path, GREETING: '안녕', EMPTY: '' }, ['stdio'], {
    tools: [
      ['echo', { message: 'hello 안녕 🌊' }],
      ['get-annotated-message', { messageType: 'error', includeImage: true }],
      ['get-env', {}],
      ['get-resource-links', { count: 4 }],
      ['get-resource-reference', { resourceType: 'Blob', resourceId: 2 }],
      ['get-structured-content', { location: 'Chicago' }],
      ['get-sum', { a: 1.5, b: -2 }],
      ['get-tiny-image', {}],
      ['gzip-file-as-resource', { name: 'hello.gz', data: 'data:text/plain,hello', outputType: 'resourceLink' }],
      ['toggle-simulated-logging', {}],
      ['toggle-subscriber-updates', {}],
      ['trigger-long-running-operation', { duration: 0.4, steps: 4 }],
      ['simulate-research-query', { topic: 'tides' }],
    ],
    prompts: {
      'args-prompt': { city: 'Busan', state: 'KR' },
      'completable-prompt': { department: 'Engineering', name: 'Alice' },
      'resource-prompt': { resourceType: 'Text', resourceId: '3' },
    },
    resources: ['demo://resource/dynamic/text/7', 'demo://resource/dynamic/blob/8', 'demo://resource/dynamic/text/none'],
    completions: [
      department,
      { ref: department.ref, argument: { name: 'name', value: '' }, context: { arguments: { department: 'Sales' } } },
      { ref: { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' }, argument: { name: 'resourceId', value: '1' } },
    ],
    size: { tools: 13, reads: 10, prompts: 4, calls: 13, progress: 4 },
    failing: ['simulate-research-query'], // it must be called as a task, which these clients do not offer
  });
}

function filesystem({ path }: TempDir): Subject {
  const at = (...names: string[]) => join(path, ...names);
  return subject('filesystem', { HOME: path }, [path], {
    reset: () => {
      rmSync(at('docs'), { recursive: true, force: true });
      mkdirSync(at('docs', 'deep'), { recursive: true });
      writeFileSync(at('docs', 'a.txt'), 'one\ntwo\n셋\n');
      writeFileSync(at('docs', 'dot.png'), Buffer.from([137, 80, 78, 71]));
    },
    tools: [
      ['read_file', { path: at('docs', 'a.txt') }],
      ['read_text_file', { path: at('docs', 'a.txt'), tail: 2 }],
      ['read_media_file', { path: at('docs', 'dot.png') }],
      ['read_multiple_files', { paths: [at('docs', 'a.txt'), at('docs', 'none.txt')] }],
      ['write_file', { path: at('docs', 'b.txt'), content: 'new' }],
      ['edit_file', { path: at('docs', 'b.txt'), edits: [{ oldText: 'new', newText: 'newer' }] }],
      ['create_directory', { path: at('docs', 'made') }],
      ['list_directory', { path: at('docs') }],
      ['list_directory_with_sizes', { path: at('docs'), sortBy: 'size' }],
      ['directory_tree', { path: at('docs') }],
      ['move_file', { source: at('docs', 'b.txt'), destination: at('docs', 'deep', 'c.txt') }],
      ['search_files', { path: at('docs'), pattern: '**/*.txt' }],
      ['get_file_info', { path: at('docs', 'a.txt') }],
      ['list_allowed_directories', {}],
      ['read_text_file', { path: '/etc/hostname' }],
    ],
    size: { tools: 14, reads: 0, prompts: 0, calls: 15, progress: 0 },
    failing: ['read_text_file'], // the last: outside the folder
  });
}

function memory({ path }: TempDir): Subject {
  const file = join(path, 'memory.jsonl');
  const uses = { from: 'Mina', to: 'Tidegate', relationType: 'uses' };
  const had = { from: 'Mina', to: 'old', relationType: 'had' };
  return subject('memory', { HOME: path, MEMORY_FILE_PATH: file }, [], {
    reset: () => rmSync(file, { force: true }),
    tools: [
      ['create_entities', { entities: ['Mina', 'Tidegate', 'old'].map((name) => ({ name, entityType: 'thing', observations: ['seen'] })) }],
      ['create_relations', { relations: [uses, had] }],
      ['add_observations', { observations: [{ entityName: 'Mina', contents: ['바다를 좋아한다', 'late'] }] }],
      ['delete_observations', { deletions: [{ entityName: 'Mina', observations: ['late'] }] }],
      ['delete_relations', { relations: [had] }],
      ['delete_entities', { entityNames: ['old'] }],
      ['read_graph', {}],
      ['search_nodes', { query: '바다' }],
      ['open_nodes', { names: ['Tidegate'] }],
    ],
    size: { tools: 9, reads: 1, prompts: 0, calls: 9, progress: 0 },
  });
}

/**
 * Arguments that its schema does not allow (a number as a text, thought 0) the server itself would take or refuse in its own words;
 * the gateway refuses them. Its answers tell how many thoughts it has had: a call that reached it twice, or another process,
 * would show.
 */
function sequentialThinking({ path }: TempDir): Subject {
  const thought = { thought: '조석은 하루에 두 번', nextThoughtNeeded: true, thoughtNumber: 1, totalThoughts: 3 };
  return subject('sequential-thinking', { HOME: path }, [], {
    tools: [
      ['sequentialthinking', thought],
      ['sequentialthinking', { ...thought, thoughtNumber: 2, isRevision: true, revisesThought: 1 }],
      ['sequentialthinking', { ...thought, thoughtNumber: 2, branchFromThought: 1, branchId: 'neap' }],
      ['sequentialthinking', { ...thought, thoughtNumber: 5, nextThoughtNeeded: false }],
    ],
    size: { tools: 1, reads: 0, prompts: 0, calls: 4, progress: 0 },
  });
}

const makers = { everything, filesystem, memory, 'sequential-thinking': sequentialThinking };

export type SubjectName = keyof typeof makers;

export const subjectNames = Object.keys(makers) as SubjectName[];

/** The subject with a folder of its own. Its path is in what the server answers, so that accounts of one subject are compared. */
export function subjectOf(name: SubjectName): Subject {
  return makers[name](tempDir('server-'));
}
