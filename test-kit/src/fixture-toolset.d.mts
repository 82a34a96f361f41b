/** A JSON-RPC message as it came or goes. */
export interface Message {
  jsonrpc: '2.0';
  id?: string | number;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: { code: number; message: string; data?: unknown };
}

/** Where the answers to one request go. */
export interface Wire {
  send(message: Message): void;
  /** Exactly these characters, whatever they do to the framing. */
  raw(text: string): void;
  /** Ends the server once what was written so far has left it. */
  die(): void;
}

/** One line of what a fixture server did. */
export interface FixtureEvent {
  event: 'start' | 'call' | 'cancelled' | 'refused-to-end';
  tool?: string;
  arguments?: Record<string, unknown>;
  pid?: number;
}

export interface FixtureSession {
  handle(message: Message, wire: Wire): Promise<void>;
  close(): void;
}

export class FixtureToolset {
  constructor(options?: { name?: string | undefined; pageSize?: number | undefined; record?: (event: FixtureEvent) => void });
  open(notify: (message: Message) => void): FixtureSession;
  addTool(name: string): void;
  removeTool(name: string): void;
}
