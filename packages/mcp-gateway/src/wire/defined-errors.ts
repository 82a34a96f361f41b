import { isObject, type RpcError, rpcCode } from '../json-rpc.ts';
import { urlElicitationRequired } from './legacy.ts';
import { modernCode } from './modern.ts';

/** Whether the data of an error are what the protocol prescribes for its code. */
type Check = (data: unknown) => boolean;

const isText = (value: unknown) => typeof value === 'string';
const areObjects = (value: unknown) => isObject(value) && Object.values(value).every(isObject);

/** The errors with prescribed data of the revisions up to 2025-11-25. */
export const legacyErrors: Readonly<Record<number, Check>> = {
  [urlElicitationRequired]: (data) =>
    isObject(data) && Array.isArray(data['elicitations']) && data['elicitations'].every((each) => isObject(each) && isAddress(each)),
};

/** Those of revision 2026-07-28. */
export const modernErrors: Readonly<Record<number, Check>> = {
  [modernCode.missingClientCapability]: (data) => {
    const capabilities = isObject(data) ? data['requiredCapabilities'] : undefined;
    return isObject(capabilities) && Object.values(capabilities).every(areObjects);
  },
  [modernCode.unsupportedVersion]: (data) =>
    isObject(data) && isText(data['requested']) && Array.isArray(data['supported']) && data['supported'].every(isText),
};

/** A server's error as it may go on to a client: one whose data are not those of its code is an internal error. */
export function soundError(error: RpcError, defined: Readonly<Record<number, Check>>): RpcError {
  const check = defined[error.code];
  return check === undefined || check(error.data) ? error : { ...error, code: rpcCode.internalError };
}

function isAddress({ mode, message, elicitationId, url }: Readonly<Record<string, unknown>>): boolean {
  return mode === 'url' && isText(message) && isText(elicitationId) && typeof url === 'string' && URL.canParse(url);
}
