import { fitsOneOf } from './name-pattern.ts';

/**
 * Which tools of a server may be called twice: those that the configuration names, `*` standing for any text, and, of a server
 * whose word is trusted, those that it annotates as read-only or idempotent.
 */
export function repeatableTools(named: readonly string[], trustAnnotations: boolean): (tool: string, offered: unknown) => boolean {
  const isNamed = fitsOneOf(named);
  return (tool, offered) => isNamed(tool) || (trustAnnotations && saysRepeatable(offered));
}

function saysRepeatable(tool: unknown): boolean {
  const { annotations } = tool as { annotations?: { readOnlyHint?: unknown; idempotentHint?: unknown } };
  return annotations?.readOnlyHint === true || annotations?.idempotentHint === true;
}
