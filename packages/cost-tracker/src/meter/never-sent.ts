import { bodyOf } from '../usage/reported-usage.ts';

const refusal = Symbol.for('tidegate.refusal');

/** What a connection that never stood is called by Node and undici. */
const codes = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'UND_ERR_CONNECT_TIMEOUT'],
  ...['ERR_INVALID_URL', 'UND_ERR_INVALID_ARG', 'SELF_SIGNED_CERT_IN_CHAIN', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'CERT_HAS_EXPIRED'],
  ...['ERR_TLS_CERT_ALTNAME_INVALID', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
]);
const beforeSending = new Set(['connect', 'getaddrinfo']);
const DEEPEST = 8;

/** Whether an error, or what caused it, says that the provider never got the call: a limit or breaker refused it, or nobody was reached. */
export function neverSent(error: unknown): boolean {
  let each = error;
  for (let depth = 0; depth < DEEPEST && typeof each === 'object' && each !== null; depth += 1) {
    const { code, syscall, cause } = bodyOf(each);
    if ((each as { [refusal]?: unknown })[refusal] === true) return true;
    if (codes.has(String(code)) || beforeSending.has(String(syscall))) return true;
    each = cause;
  }
  return false;
}
