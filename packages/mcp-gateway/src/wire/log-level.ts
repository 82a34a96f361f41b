import { asText } from '../json-rpc.ts';

/** The levels of log messages (RFC 5424), the most verbose first. */
export const logLevels: readonly string[] = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];

/** Whether `level` lets more messages through than `than`; any level does where none is set. */
export function moreVerbose(level: string, than: string | undefined): boolean {
  return than === undefined || logLevels.indexOf(level) < logLevels.indexOf(than);
}

/** Whether a client that asked for `wanted` is sent a message of this level. */
export function isWanted(level: unknown, wanted: string): boolean {
  return logLevels.indexOf(asText(level)) >= logLevels.indexOf(wanted);
}

/** Whether a value is one of the levels. */
export function isLogLevel(value: unknown): value is string {
  return typeof value === 'string' && logLevels.includes(value);
}
