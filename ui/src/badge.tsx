import type { ComponentChildren } from 'preact';

/** How good or bad something is. */
export type Level = 'ok' | 'warning' | 'critical' | 'blocked' | 'none';

/** A word with a colour; the word alone says it. */
export function Badge({ level, children }: { level: Level; children: ComponentChildren }) {
  return <span class={`badge ${level}`}>{children}</span>;
}
