import type { ComponentChildren } from 'preact';
import type { Level } from './badge.tsx';

/** Says one thing over the page; told to a screen reader when it changes. */
export function Banner({ level, title, children }: { level: Level; title: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class={`banner ${level}`} role="status" data-level={level}>
      <strong>{title}</strong>
      <span>{children}</span>
    </div>
  );
}
