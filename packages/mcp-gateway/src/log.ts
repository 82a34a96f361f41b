import type { Gateway } from './gateway.ts';
import type { Logger } from './ports.ts';

type Level = 'info' | 'warn' | 'error';

/** Writes one line an event to stderr: text on a terminal, JSON elsewhere. */
export function stderrLogger(stream: NodeJS.WriteStream = process.stderr): Logger {
  const write = (level: Level, message: string, fields: object = {}) => {
    const own = { time: new Date().toISOString(), level, message };
    // servers have a say in messages; none of them may steer a terminal
    const text = `${own.time.slice(11, 23)} ${level.padEnd(5)} ${message.replaceAll(/\p{Cc}/gu, '?')}`;
    const line = stream.isTTY ? text : JSON.stringify({ ...own, ...fields, ...own });
    stream.write(`${line}\n`);
  };
  return {
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
  };
}

/**
 * Makes this process's warnings lines of the log like all else. For programs, not for libraries: it takes the printing over from
 * Node. That Node's SQLite is still called experimental is left out; it is chosen on purpose.
 */
export function logWarnings(logger: Logger): void {
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message, stack }) => {
    if (name !== 'ExperimentalWarning' || !message.startsWith('SQLite')) logger.warn(message, { event: 'warning', name, stack });
  });
}

/** Tells a logger what happens in a gateway; of calls only those that were refused. */
export function logEvents(gateway: Gateway, logger: Logger): void {
  gateway.on('server', (event) => {
    if (event.state === 'up') logger.info(`server '${event.server}' is up`, { event: 'server', ...event });
    else logger.warn(`${event.reason}`, { event: 'server', ...event });
  });
  gateway.on('sign-in', (event) => {
    const who = event.user === undefined ? event.tenant : `${event.user} of ${event.tenant}`;
    const what = { needed: `wants ${who} to sign in`, done: `has signed ${who} in`, failed: `could not sign ${who} in: ${event.reason}` };
    logger[event.state === 'done' ? 'info' : 'warn'](`server '${event.server}' ${what[event.state]}`, { event: 'sign-in', ...event });
  });
  gateway.on('circuit', (event) => {
    const level = event.to === 'closed' ? 'info' : 'warn';
    logger[level](`circuit of '${event.server}' is ${event.to} (${event.reason})`, { event: 'circuit', ...event });
  });
  gateway.on('fallback', (event) => logger.info(`'${event.name}' went to ${event.fallback}`, { event: 'fallback', ...named(event) }));
  gateway.on('budget', ({ level, ...event }) =>
    logger.warn(`budget '${event.budget}' is ${level}: ${event.spentUsd} of ${event.limitUsd} USD`, {
      event: 'budget',
      budgetLevel: level,
      ...event,
    }),
  );
  gateway.on('alert', ({ level, ...event }) => {
    const fields = { event: 'alert', budgetLevel: level, ...event };
    const what = `that budget '${event.budget}' is ${level}`;
    if (event.state === 'delivered') logger.info(`'${event.sink}' was told ${what}`, fields);
    else if (event.state === 'failed') logger.warn(`'${event.sink}' could not yet be told ${what}: ${event.reason}`, fields);
    else logger.error(`'${event.sink}' will not be told ${what}: ${event.reason}`, fields);
  });
  gateway.on('frame', (event) => logger.warn(`server '${event.server}' ${event.problem}`, { event: 'frame', ...event }));
  gateway.on('collision', (event) =>
    logger.warn(`'${event.name}' is offered by '${event.holder}', which has it, and by '${event.other}'`, { event: 'collision', ...event }),
  );
  gateway.on('call', (event) => {
    if (event.outcome === 'refused')
      logger.warn(`'${event.name}' of ${event.tenant}: ${event.code}, ${event.problem}`, { event: 'call', ...named(event) });
  });
  gateway.on('fault', ({ error, traceId }) =>
    logger.error('the gateway failed', { event: 'fault', trace_id: traceId, error: error instanceof Error ? error.stack : String(error) }),
  );
}

/** The trace id under the name that it has in every log. */
function named<T extends { readonly traceId: string }>({ traceId, ...rest }: T): object {
  return { ...rest, trace_id: traceId };
}
