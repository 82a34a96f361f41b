/** One thing that is wrong with a policy file. */
export interface PolicyProblem {
  /** Where, as a JSON pointer (RFC 6901); empty for the whole file. */
  readonly pointer: string;
  /** What is wrong and what is allowed. */
  readonly message: string;
  /** Counted from 1; absent where the file cannot be read at all. */
  readonly line?: number;
  /** Counted from 1, in UTF-16 units; a byte order mark does not count. */
  readonly column?: number;
  /** What stands there, where it is one value. */
  readonly value?: unknown;
  /** The name of the rule in the schema's `x-rules`, where it is one that a JSON Schema cannot hold. */
  readonly rule?: string;
}

/** A policy file cannot be used. Lists everything that is wrong with it, not only the first thing. */
export class PolicyFileError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'PolicyFileError';
  /** Stable, for programs. */
  readonly code = 'ERR_POLICY_FILE';
  /** The file. */
  readonly file: string;
  /** Everything that is wrong, in the order of the file. */
  readonly problems: readonly PolicyProblem[];

  constructor(file: string, problems: readonly PolicyProblem[], options?: ErrorOptions) {
    super(problems.map((problem) => lineFor(problem, file)).join('\n'), options);
    this.file = file;
    this.problems = problems;
  }
}

function lineFor({ pointer, message, line, column }: PolicyProblem, file: string): string {
  const place = line === undefined ? file : `${file}:${line}:${column}`;
  return [place, pointer, message].filter((part) => part !== '').join(' ');
}
