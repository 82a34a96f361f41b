/** One thing that is wrong with a configuration. */
export interface ConfigProblem {
  /** Where, as a JSON pointer (RFC 6901); empty for the whole. */
  readonly pointer: string;
  /** What is wrong and what is allowed. */
  readonly message: string;
  /** Counted from 1; absent for a configuration that is not a file. */
  readonly line?: number;
  /** Counted from 1. */
  readonly column?: number;
}

/** The configuration cannot be used. Nothing has been started. Lists everything that is wrong, not only the first thing. */
export class ConfigError extends Error {
  /** `ConfigError` */
  override readonly name: string = 'ConfigError';
  /** Tells this error from others. */
  readonly code = 'ERR_CONFIG';
  /** The file, where there is one. */
  readonly file?: string;
  /** Everything that is wrong. */
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], file?: string) {
    super(problems.map((problem) => line(problem, file)).join('\n'));
    this.problems = problems;
    if (file !== undefined) this.file = file;
  }
}

function line({ pointer, message, line, column }: ConfigProblem, file: string | undefined): string {
  const place = line === undefined ? file : `${file}:${line}:${column}`;
  return [place, pointer, message].filter((part) => part !== undefined && part !== '').join(' ');
}

/** A JSON pointer from the members that lead to a place. */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((member) => `/${String(member).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
