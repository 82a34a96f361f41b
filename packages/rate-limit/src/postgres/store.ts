import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { Coalescer, type Sent } from '../coalesce.ts';
import type { Change, Command, Reply, Store } from '../store.ts';
import { Batch } from './batch.ts';
import { Cleaning } from './cleaning.ts';
import { call, definition, type Schema } from './schema.ts';

/** What a `postgresStore` asks: a `Pool` or a `Client` of `pg`, or what answers as they do. */
export interface PostgresClient {
  /** Runs a statement, or without values several in one transaction; fails where that takes longer than `query_timeout` ms. */
  query(statement: { name?: string; text: string; values?: unknown[]; query_timeout: number }): Promise<{
    /** What it answered. */
    rows: unknown[];
  }>;
}

/** What {@link PostgresStore} is made of. */
export interface PostgresParts {
  readonly client: PostgresClient;
  readonly schema: Schema;
  readonly migrate: boolean;
  readonly cleanupEveryMs: number;
  readonly clock: Clock;
  /** What the server's time is taken as, in µs; the server's own where undefined. */
  readonly now?: () => number;
}

const commandsAtOnce = 256;
const numbersAtOnce = 8_192; // of all states: windows may have a thousand each
const query_timeout = 5_000; // a connection that went silent holds up the others no longer than this

/** Does commands by one function in the database. */
export class PostgresStore implements Store {
  readonly #parts: PostgresParts;
  readonly #coalescer = new Coalescer((sent) => this.#send(sent), { most: commandsAtOnce });
  readonly #cleaning: Cleaning;
  readonly #call: string;
  #name: string | undefined;
  #ready: Promise<void> | undefined;
  #aheadUs = 0; // of the server's clock before this process's
  #closed = false;

  constructor(parts: PostgresParts) {
    this.#parts = parts;
    this.#call = call(parts.schema);
    this.#name = `tidegate-${createHash('sha256').update(this.#call).digest('hex').slice(0, 16)}`;
    this.#cleaning = new Cleaning(parts);
    this.#aheadUs = (parts.clock.wall() - parts.clock.now()) * 1_000;
  }

  async run(command: Command, change: Change): Promise<Reply> {
    if (this.#closed) throw new Error('the store is closed');
    return this.#coalescer.run(command, change);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#coalescer.close(new Error('the store is closed'));
    await this.#cleaning.close();
  }

  async #send(sent: readonly Sent[]): Promise<(Reply | Error)[]> {
    if (sent.length > 1 && numbersOf(sent) > numbersAtOnce) return this.#halves(sent);
    try {
      const replies = await this.#decide(new Batch(sent));
      this.#cleaning.plan();
      return replies;
    } catch (error) {
      if (!ofItsData(error)) throw error;
      if (sent.length === 1) return [error];
    }
    return this.#halves(sent); // nothing was done: whose row is broken fails alone
  }

  async #halves(sent: readonly Sent[]): Promise<(Reply | Error)[]> {
    const half = sent.length >> 1;
    const first = await this.#send(sent.slice(0, half));
    const rest = sent.slice(half);
    return [...first, ...(await this.#send(rest).catch((error: Error) => rest.map(() => error)))]; // the first half was done
  }

  async #decide(batch: Batch): Promise<Reply[]> {
    const { clock, now } = this.#parts;
    let at = now?.() ?? this.#aheadUs + clock.now() * 1_000;
    for (let tries = 0; tries < 3; tries += 1) {
      const answer = batch.read(await this.#answer(batch.values(at, now?.())));
      const told = typeof answer === 'number' ? answer : (answer[0]?.now ?? at);
      this.#aheadUs = told - clock.now() * 1_000;
      if (typeof answer !== 'number') return answer;
      at = answer; // the period of a calendar has changed
    }
    throw new Error("the server's time left the calendar's periods three times");
  }

  async #answer(values: unknown[]): Promise<string> {
    try {
      return await this.#ask(values);
    } catch (error) {
      if (isMissing(error))
        this.#ready = undefined; // somebody dropped it
      else if (isUnprepared(error))
        this.#name = undefined; // a pooler gives every statement another connection
      else throw error;
    }
    return this.#ask(values);
  }

  async #ask(values: unknown[]): Promise<string> {
    await this.#prepared();
    const name = this.#name;
    const { rows } = await this.#parts.client.query({ ...(name === undefined ? {} : { name }), text: this.#call, values, query_timeout });
    return (rows[0] as { answer: string }).answer;
  }

  #prepared(): Promise<void> {
    this.#ready ??= this.#prepare().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  /** Makes the table and its functions where they are missing. */
  async #prepare(): Promise<void> {
    const { client, schema, migrate } = this.#parts;
    let found = await this.#found();
    if (!found.ready && migrate) {
      const failed = await client.query({ text: definition(schema), query_timeout }).then(
        () => undefined,
        (error: unknown) => error,
      );
      found = await this.#found();
      if (!found.ready)
        throw new Error(
          `postgresStore: ${schema.table} could not be made: ${said(failed)}. Run the SQL of postgresSchema() as a role that may`,
          { cause: failed },
        );
    }
    if (!found.ready)
      throw new Error(
        `postgresStore: ${schema.table} or its functions are missing. Run the SQL of postgresSchema(), or leave out migrate: false`,
      );
    if (found.kept === 'u' && schema.durable) {
      throw new Error(`postgresStore: durable is true, but ${schema.table} is not logged. Run ALTER TABLE ${schema.table} SET LOGGED`);
    }
  }

  async #found(): Promise<{ ready: boolean; kept: string | null }> {
    const { client, schema } = this.#parts;
    const { rows } = await client.query({
      text: `SELECT coalesce(c.oid IS NOT NULL AND to_regprocedure($2) IS NOT NULL, false) AS ready, c.relpersistence::text AS kept
        FROM (SELECT to_regclass($1)::oid AS oid) AS t LEFT JOIN pg_class AS c ON c.oid = t.oid`,
      values: [schema.table, schema.signature],
      query_timeout,
    });
    return rows[0] as { ready: boolean; kept: string | null };
  }
}

function numbersOf(sent: readonly Sent[]): number {
  let sum = 0;
  for (const { command } of sent) for (const { rule } of command.demands) sum += rule.slots;
  return sum;
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** Whether a statement failed because of what it was given or found, so that another would not. */
function ofItsData(error: unknown): error is Error {
  return error instanceof Error && /^(?:22|23|P0|XX001)/.test(codeOf(error));
}

/** Undefined function, undefined table, missing schema. */
function isMissing(error: unknown): boolean {
  return ['42883', '42P01', '3F000'].includes(codeOf(error));
}

/** A prepared statement that is not there, or is there already. */
function isUnprepared(error: unknown): boolean {
  return ['26000', '42P05'].includes(codeOf(error));
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
