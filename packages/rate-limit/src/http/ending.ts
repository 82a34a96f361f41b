/** What of a response of `node:http` tells that it has ended. */
export interface EndingResponse {
  /** The connection is gone. */
  readonly destroyed?: boolean;
  /** All of it was handed over to the system. */
  readonly writableFinished?: boolean;
  /** Calls `listener` at the next such event. */
  once(event: 'finish' | 'close', listener: () => void): unknown;
}

/** When a response ends: sent, or left by its client. */
export class Ending {
  #over: boolean;
  #listener: (() => void) | undefined;

  constructor(response: EndingResponse) {
    this.#over = response.destroyed === true || response.writableFinished === true;
    const end = () => {
      this.#over = true;
      this.#listener?.();
      this.#listener = undefined;
    };
    response.once('finish', end);
    response.once('close', end);
  }

  /** Whether it has ended. */
  get over(): boolean {
    return this.#over;
  }

  /** Calls `listener` once when it ends, at once where it has. */
  whenOver(listener: () => void): void {
    if (this.#over) listener();
    else this.#listener = listener;
  }
}
