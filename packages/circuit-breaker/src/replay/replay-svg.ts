import type { ReplayDrawing, ReplayReport } from './replay-run.ts';

const left = 20;
const plot = 960;
const chartHeight = 80;
const bandHeight = 24;
const rowHeight = 52;
const head = 44;

const style = `
:root{color-scheme:light dark}
svg{background:#fff;font:13px system-ui,sans-serif}
text{fill:#1f2328}.dim{fill:#59636e}.closed{fill:#d8dee4}.open{fill:#cf222e}.half{fill:#bf8700}.failures{fill:#57606a}.axis{stroke:#59636e}
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.dim{fill:#9198a1}.closed{fill:#30363d}.open{fill:#ff7b72}.half{fill:#e3b341}.failures{fill:#9198a1}.axis{stroke:#9198a1}}
`;

/**
 * A replay as a picture that needs nothing else: failures over the time of the trace, and under them for each policy how
 * much of each moment its circuit was open and half-open.
 */
export function replaySvg({ trace, policies }: ReplayReport, { failures, bands }: ReplayDrawing): string {
  const base = head + 20 + chartHeight;
  const rows = policies.map(({ label, opened, openShare }, index) => {
    const y = base + 26 + index * rowHeight;
    const band = bands[index] ?? { open: [], halfOpen: [] };
    const numbers = `opened ${opened} times, open ${(openShare * 100).toFixed(1)} % of the time`;
    return [
      text(left, y, label),
      `<text class="dim" x="${left + plot}" y="${y}" text-anchor="end">${numbers}</text>`,
      `<rect class="closed" x="${left}" y="${y + 6}" width="${plot}" height="${bandHeight}"/>`,
      shape('half', stacked(band.halfOpen, band.open, y + 6)),
      shape('open', stacked(band.open, [], y + 6)),
    ].join('\n');
  });
  const height = base + 26 + policies.length * rowHeight + 24;
  const most = Math.max(0, ...failures);
  const title = `${trace.calls} calls, ${trace.failures} failures`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${left + plot + 20} ${height}" role="img" aria-label="${escaped(title)}">
<title>${escaped(title)}</title>
<style>${style}</style>
${text(left, 24, title)}
${legend()}
<text class="dim" x="${left}" y="${head + 12}">failures, at most ${most} in ${round((trace.toMs - trace.fromMs) / failures.length)} ms</text>
${shape('failures', bars(failures, most, base))}
<path class="axis" fill="none" d="M${left} ${base}h${plot}"/>
${rows.join('\n')}
<text class="dim" x="${left}" y="${height - 10}">${escaped(instant(trace.fromMs))}</text>
<text class="dim" x="${left + plot}" y="${height - 10}" text-anchor="end">${escaped(instant(trace.toMs))}</text>
</svg>
`;
}

function legend(): string {
  const entries = [
    ['closed', 'closed'],
    ['half', 'half-open'],
    ['open', 'open'],
  ] as const;
  return entries
    .map(([className, label], index) => {
      const x = left + plot - 260 + index * 90;
      return `<rect class="${className}" x="${x}" y="13" width="12" height="12"/>${text(x + 18, 24, label)}`;
    })
    .join('');
}

/** Bars of the counts, the highest as high as the chart. */
function bars(counts: readonly number[], most: number, base: number): string {
  return runs(counts.map((count) => (most === 0 ? 0 : (count / most) * chartHeight)))
    .map(({ x, width, value }) => `M${x} ${base}v${-value}h${width}v${value}z`)
    .join('');
}

/** Shares of a band, from its top or from under those that lie above. */
function stacked(shares: readonly number[], above: readonly number[], y: number): string {
  const tops = shares.map((share, part) => (share > 0 ? round((above[part] ?? 0) * bandHeight) : 0));
  return runs(
    shares.map((share) => share * bandHeight),
    tops,
  )
    .map(({ x, width, value, top }) => `M${x} ${round(y + top)}h${width}v${value}h${-width}z`)
    .join('');
}

interface Run {
  readonly x: number;
  readonly width: number;
  readonly value: number;
  readonly top: number;
}

/** Neighbours of the same height are one shape: what keeps the picture small. */
function runs(values: readonly number[], tops: readonly number[] = []): Run[] {
  const found: Run[] = [];
  const step = plot / Math.max(1, values.length);
  for (let from = 0; from < values.length; ) {
    const [value, top] = [round(values[from] ?? 0), tops[from] ?? 0];
    let to = from + 1;
    while (to < values.length && round(values[to] ?? 0) === value && (tops[to] ?? 0) === top) to += 1;
    if (value > 0) found.push({ x: round(left + from * step), width: round((to - from) * step), value, top });
    from = to;
  }
  return found;
}

function shape(className: string, path: string): string {
  return path === '' ? '' : `<path class="${className}" d="${path}"/>`;
}

function text(x: number, y: number, content: string): string {
  return `<text x="${x}" y="${y}">${escaped(content.length > 80 ? `…${content.slice(-79)}` : content)}</text>`;
}

function instant(ms: number): string {
  return new Date(Math.min(ms, 8.64e15)).toISOString(); // a call may end after the last instant that a Date knows
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** What XML may hold; control characters and half pairs may not even be escaped. */
function escaped(content: string): string {
  return content.replace(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, ' ').replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
