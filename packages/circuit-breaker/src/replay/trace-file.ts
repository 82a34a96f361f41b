import { type FileHandle, open } from 'node:fs/promises';
import { BadLine, type DroppedCalls, parseCall, type RecordedCall, TraceError } from './replay-trace.ts';

const longestLine = 65_536;
const chunkBytes = 1 << 20;
const lineFeed = 10;

/**
 * A trace that is read from its beginning as often as needed, always as far as it went when it was opened: a service may be
 * writing to it. Holds one piece of it in memory.
 */
export class TraceFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #size: number;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /** @throws {@link TraceError} */
  static async open(path: string): Promise<TraceFile> {
    try {
      const handle = await open(path);
      const stats = await handle.stat();
      if (stats.isFile()) return new TraceFile(path, handle, stats.size);
      await handle.close();
    } catch (error) {
      throw new TraceError((error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message, {
        file: path,
      });
    }
    throw new TraceError('is not a regular file; a trace is read twice', { file: path });
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /** Calls `tell` for each line that is not blank. A last line without an end that is not whole yet is left out. */
  async read(tell: (call: RecordedCall | DroppedCalls) => void): Promise<void> {
    const buffer = Buffer.alloc(chunkBytes + longestLine);
    let line = 0;
    let kept = 0; // bytes of a line whose end is yet to be read
    for (let position = 0; position < this.#size; ) {
      const room = Math.min(chunkBytes, this.#size - position);
      const { bytesRead } = await this.#handle.read(buffer, kept, room, position);
      if (bytesRead === 0) break; // it was cut meanwhile
      position += bytesRead;
      const end = kept + bytesRead;
      let from = 0;
      for (let to = buffer.indexOf(lineFeed, kept); to >= 0 && to < end; to = buffer.indexOf(lineFeed, from)) {
        line += 1;
        this.#line(buffer, from, to, line, tell);
        from = to + 1;
      }
      kept = end - from;
      if (kept > longestLine) throw this.#tooLong(line + 1);
      buffer.copyWithin(0, from, end);
    }
    if (kept > 0) this.#tail(buffer, kept, line + 1, tell);
  }

  #line(buffer: Buffer, from: number, to: number, line: number, tell: (call: RecordedCall | DroppedCalls) => void): void {
    if (to - from > longestLine) throw this.#tooLong(line);
    const text = textOf(buffer, from, to, line);
    if (text.trim() === '') return;
    const call = parseCall(text);
    if (call instanceof BadLine) throw new TraceError(call.message, { file: this.#path, line, column: call.column });
    tell(call);
  }

  #tail(buffer: Buffer, end: number, line: number, tell: (call: RecordedCall | DroppedCalls) => void): void {
    try {
      JSON.parse(textOf(buffer, 0, end, line));
    } catch {
      return;
    }
    this.#line(buffer, 0, end, line, tell);
  }

  #tooLong(line: number): TraceError {
    return new TraceError(`a line is longer than ${longestLine} bytes`, { file: this.#path, line, column: 1 });
  }
}

function textOf(buffer: Buffer, from: number, to: number, line: number): string {
  const text = buffer.toString('utf8', from, to);
  return line === 1 && text.startsWith('\uFEFF') ? text.slice(1) : text;
}
