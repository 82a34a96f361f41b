/**
 * Which tools of a server may be called twice: those that the configuration names, `*` standing for any text, and, of a server
 * whose word is trusted, those that it annotates as read-only or idempotent.
 */
export function repeatableTools(named: readonly string[], trustAnnotations: boolean): (tool: string, offered: unknown) => boolean {
  const patterns = named.map(patternOf);
  return (tool, offered) => patterns.some((pattern) => pattern.test(tool)) || (trustAnnotations && saysRepeatable(offered));
}

function patternOf(name: string): RegExp {
  const parts = name.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}

function saysRepeatable(tool: unknown): boolean {
  const { annotations } = tool as { annotations?: { readOnlyHint?: unknown; idempotentHint?: unknown } };
  return annotations?.readOnlyHint === true || annotations?.idempotentHint === true;
}
