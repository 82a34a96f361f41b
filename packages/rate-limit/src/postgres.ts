import { systemClock } from './clock.ts';
import { onlyKnown, wholeNumber } from './options.ts';
import { checkedSchema, type PostgresSchemaOptions, postgresSchema } from './postgres/schema.ts';
import { type PostgresClient, PostgresStore } from './postgres/store.ts';
import { sharedStore } from './shared-backend.ts';
import type { SharedStore } from './store.ts';

/** Where a {@link postgresStore} keeps its limits. */
export interface PostgresStoreOptions extends PostgresSchemaOptions {
  /** Whether the table and its functions are made at first use where they are missing. @defaultValue `true` */
  readonly migrate?: boolean;
  /** While in use, rows that say nothing any more are looked for every so many ms; 0 for never. @defaultValue `10_000` */
  readonly cleanupEveryMs?: number;
}

/**
 * A store in Postgres 14 or later, by one statement for all commands of a turn of the event loop.
 *
 * Time is the server's. The table is not logged unless `durable`: a crash of the server then forgets what was used, which lets through
 * at most one more burst of each limit and key; a standby does not have it either. Commands that are refused write nothing.
 *
 * @throws `RangeError` on bad options
 */
export function postgresStore(client: PostgresClient, options: PostgresStoreOptions = {}): SharedStore {
  onlyKnown('postgresStore', options, ['schema', 'table', 'durable', 'migrate', 'cleanupEveryMs']);
  const { migrate = true } = options;
  if (typeof migrate !== 'boolean') throw new RangeError(`postgresStore: migrate must be true or false, not ${String(migrate)}`);
  if (typeof client?.query !== 'function')
    throw new TypeError('postgresStore: the client must be a Pool or a Client of pg, with a method query');
  const cleanupEveryMs = wholeNumber('postgresStore: cleanupEveryMs', options.cleanupEveryMs ?? 10_000, 0, 2 ** 31 - 1);
  return sharedStore(
    new PostgresStore({ client, schema: checkedSchema('postgresStore', options), migrate, cleanupEveryMs, clock: systemClock }),
  );
}

export { type PostgresClient, type PostgresSchemaOptions, postgresSchema };
