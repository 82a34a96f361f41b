import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { isObject } from './json-rpc.ts';

/** What a sealed state says; nobody but the gateway that sealed it can read or change it. */
export interface State {
  /** The conversation that waits. */
  readonly conversation: string;
  /** Whose it is. */
  readonly principal: string;
  /** The request that it belongs to. */
  readonly digest: string;
  /** When it expires, in ms since the Unix epoch. */
  readonly expiresAt: number;
}

const prefix = 'tg1.';

/**
 * Seals the state that travels through a client (AES-256-GCM, a random nonce each time), so that a changed, foreign or forged
 * one is recognised.
 */
export class StateSeal<T extends object = State> {
  readonly #key: Buffer;

  /** Without a key of 32 bytes a random one is taken: its seals then end with the process. */
  constructor(key: Buffer = randomBytes(32)) {
    this.#key = key;
  }

  seal(state: T): string {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    const text = Buffer.concat([cipher.update(JSON.stringify(state), 'utf8'), cipher.final()]);
    return prefix + Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url');
  }

  /** The state, or undefined where this gateway did not seal it. */
  open(sealed: string): T | undefined {
    if (!sealed.startsWith(prefix)) return undefined;
    const bytes = Buffer.from(sealed.slice(prefix.length), 'base64url');
    // base64 has several spellings of the same bytes; only the one that was given out is taken
    if (bytes.length < 28 || prefix + bytes.toString('base64url') !== sealed) return undefined;
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(12, 28));
      return JSON.parse(Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')) as T;
    } catch {
      return undefined;
    }
  }
}

/** A short name for a value that is the same whatever the order of its members. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('base64url');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? 'null';
  const members = Object.keys(value).sort();
  return `{${members.map((member) => `${JSON.stringify(member)}:${canonical(value[member])}`).join(',')}}`;
}
