import { type Answer, type JsonObject, rpcCode } from '../json-rpc.ts';
import { legacyErrors, modernErrors, soundError } from './defined-errors.ts';
import { meta, withMeta, withoutOwnedMeta } from './modern.ts';

/** Methods whose complete results say how long, and for whom, they may be kept. */
const cacheable = ['server/discover', 'tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read'];

/** An answer as a client of revision 2026-07-28 expects it, whichever revision the server speaks. */
export function forModernClient(method: string, answer: Answer, serverInfo: JsonObject): Answer {
  if ('error' in answer) {
    const { code } = answer.error;
    // an unknown resource had a code of its own before
    const error = code === rpcCode.resourceNotFound ? { ...answer.error, code: rpcCode.invalidParams } : answer.error;
    return { error: soundError(error, modernErrors) };
  }
  const result = withMeta(withoutOwnedMeta(answer.result), { [meta.serverInfo]: serverInfo });
  const resultType = typeof result['resultType'] === 'string' ? result['resultType'] : 'complete';
  if (resultType !== 'complete' || !cacheable.includes(method)) return { result: { ...result, resultType } };
  return { result: { ttlMs: 0, cacheScope: 'private', ...result, resultType } };
}

/** An answer as a client of the revisions up to 2025-11-25 expects it. */
export function forLegacyClient(answer: Answer): Answer {
  if ('error' in answer) return { error: soundError(answer.error, legacyErrors) };
  const { resultType, ttlMs, cacheScope, ...result } = withoutOwnedMeta(answer.result);
  return { result };
}
