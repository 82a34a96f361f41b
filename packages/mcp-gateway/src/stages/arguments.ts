import { ArgumentsCheck } from '../arguments-check.ts';
import type { Call } from '../call.ts';
import { isObject, type JsonObject } from '../json-rpc.ts';
import type { Stage } from '../pipeline.ts';
import { RefusedError } from '../refusal.ts';
import { noteNeverSent } from '../upstream-error.ts';

/** The argument by which a tool is told whose data it works on. */
const tenantArgument = '_tenant_id';

/**
 * Puts the caller's tenant where a tool asks for it, takes out what a client claims to be, and refuses arguments that do not fit
 * the tool's `inputSchema`. `unusable` is told of schemas that nothing can be checked against: once each.
 */
export function argumentsStage(unusable: (call: Call, reason: string) => void): Stage {
  const check = new ArgumentsCheck();
  const told = new WeakSet<JsonObject>();
  return async (call, next) => {
    if (call.kind !== 'tool') return next(call);
    const own = ofTenant(call);
    const verdict = check.verdict(own.offered, own.params['arguments'] ?? {});
    if (verdict.kind === 'unchecked' && !told.has(own.offered)) {
      told.add(own.offered);
      unusable(call, verdict.reason);
    }
    if (verdict.kind !== 'unfit') return next(own);
    const refused = new RefusedError({
      code: 'ERR_INVALID_ARGUMENTS',
      message: `the arguments of '${call.name}' do not fit its inputSchema: ${verdict.problem}`,
      advice: 'Correct them and call it again.',
    });
    noteNeverSent(refused);
    throw refused;
  };
}

/** The call with the tenant's name where the tool's schema has a place for it, and nowhere else. */
function ofTenant(call: Call): Call {
  const { params, offered, principal } = call;
  const { [tenantArgument]: claimed, ...args } = isObject(params['arguments']) ? params['arguments'] : {};
  const { inputSchema } = offered;
  const properties = isObject(inputSchema) ? inputSchema['properties'] : undefined;
  const wanted = isObject(properties) && Object.hasOwn(properties, tenantArgument);
  if (!wanted && claimed === undefined) return call;
  return { ...call, params: { ...params, arguments: wanted ? { ...args, [tenantArgument]: principal.tenant } : args } };
}
