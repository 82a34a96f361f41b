import type { Answer } from './call.ts';
import type { Success } from './json-rpc.ts';
import { CallerRefusedError, UpstreamError } from './upstream-error.ts';

/** What a circuit makes of the end of a call. */
export interface Health {
  value(answer: unknown): 'success' | 'failure';
  error(error: unknown): 'ignore' | 'failure' | { throttledMs: number };
}

/** A tool's own error is an answer; only a server that cannot answer is sick. */
export const health: Health = {
  value: (answer) => (isObjectWithError(answer) && serverFault(answer.error.code) ? 'failure' : 'success'),
  error: (error) => {
    if (error instanceof CallerRefusedError) return 'ignore';
    const hint = error instanceof UpstreamError ? error.retryAfterMs : undefined;
    return hint === undefined ? 'failure' : { throttledMs: hint };
  },
};

/** A plug-in's tool that threw is a failure: nothing else can be the matter with it. */
export const ownHealth: Health = {
  ...health,
  value: (answer) => ((answer as Partial<Success> | undefined)?.result?.['isError'] === true ? 'failure' : 'success'),
};

/**
 * The codes of JSON-RPC by which a server says that it, not the request, is at fault. Those that the protocol defines, from -32020
 * down, are about requests, and so is -32002, a resource that does not exist. -32603 is what the SDKs make of any error that a
 * handler throws: the server itself is well.
 */
function serverFault(code: number): boolean {
  return code <= -32_000 && code > -32_020 && code !== -32_002;
}

function isObjectWithError(answer: unknown): answer is Answer & { error: { code: number } } {
  return typeof answer === 'object' && answer !== null && 'error' in answer;
}
