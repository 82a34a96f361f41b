/** Something wrong with a file of prices. */
export interface PriceProblem {
  /** JSON pointer (RFC 6901) of what is wrong; the empty string is the whole file. */
  readonly pointer: string;
  /** What is wrong with it. */
  readonly message: string;
  /** Line, from 1; absent where the file could not be read. */
  readonly line?: number;
  /** Column, from 1, in UTF-16 units; absent where the file could not be read. */
  readonly column?: number;
}

/** A file of prices cannot be read or is wrong. Nothing of it is used. */
export class PriceFileError extends Error {
  /** The class's name, also after minification. */
  override readonly name = 'PriceFileError';
  /** Always the same, for programs. */
  readonly code = 'ERR_PRICE_FILE';
  /** The file. */
  readonly file: string;
  /** Everything that is wrong, in the order of the file. */
  readonly problems: readonly PriceProblem[];

  /** @internal */
  constructor(file: string, problems: readonly PriceProblem[], options?: ErrorOptions) {
    super(problems.map((problem) => lineFor(problem, file)).join('\n'), options);
    this.file = file;
    this.problems = problems;
  }
}

function lineFor({ pointer, message, line, column }: PriceProblem, file: string): string {
  const place = line === undefined ? file : `${file}:${line}:${column}`;
  return [place, pointer, message].filter((part) => part !== '').join(' ');
}
