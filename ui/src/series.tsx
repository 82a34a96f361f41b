import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';

/** A value at a place along the chart; null where there is none. */
export interface Point {
  readonly label: string;
  readonly value: number | null;
}

/** What a chart is made of. */
export interface SeriesProps {
  /** What the chart shows, for those who do not see it. */
  readonly label: string;
  readonly points: readonly Point[];
  readonly kind: 'bars' | 'line';
  /** A line to compare with. */
  readonly target?: number | undefined;
  /** Writes a value at the axis and under the pointer. */
  readonly format: (value: number) => string;
}

const height = 220;

/** A chart over time. It is for the eye; whoever uses it puts a table of the same points beside it. */
export function Series({ label, points, kind, target, format }: SeriesProps) {
  const place = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<number | null>(null);
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    let chart: uPlot | undefined;
    const draw = () => {
      chart?.destroy();
      chart = new uPlot(optionsOf({ points, kind, target, format }, element, setAt), dataOf(points, target), element);
    };
    draw();
    const size = new ResizeObserver(() => chart?.setSize({ width: element.clientWidth, height }));
    size.observe(element);
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', draw);
    return () => {
      size.disconnect();
      dark.removeEventListener('change', draw);
      chart?.destroy();
    };
  }, [points, kind, target]);
  const point = at === null ? undefined : points[at];
  return (
    <div class="chart">
      <p class="readout muted" aria-hidden="true">
        {point === undefined ? '' : `${point.label} · ${point.value === null ? 'no data' : format(point.value)}`}
      </p>
      <div class="series" ref={place} role="img" aria-label={label} />
    </div>
  );
}

function dataOf(points: readonly Point[], target: number | undefined): uPlot.AlignedData {
  const values = points.map(({ value }) => value);
  return [points.map((_, index) => index), values, ...(target === undefined ? [] : [points.map(() => target)])];
}

function optionsOf(
  { points, kind, target, format }: Omit<SeriesProps, 'label'>,
  element: HTMLElement,
  hover: (at: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => resolved(element, `var(${name})`);
  const font = `12px ${style.fontFamily}`;
  const axis = { stroke: colour('--muted'), font, grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  const bars = uPlot.paths.bars?.({ size: [0.72, 48], radius: 0.12 });
  const drawn = kind === 'bars' ? { fill: colour('--mark'), ...(bars ? { paths: bars } : {}), points: { show: false } } : {};
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    hooks: { setCursor: [({ cursor: { idx } }) => hover(idx ?? null)] },
    scales: {
      x: { time: false, range: [-0.6, points.length - 0.4] },
      y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 34,
        space: 72,
        incrs: [1, 2, 3, 5, 7, 10, 14, 20, 30],
        values: (_, places) => places.map((at) => points[at]?.label ?? ''),
      },
      { ...axis, size: 72, values: (_, values) => values.map(format) },
    ],
    series: [
      {},
      { stroke: colour('--mark'), width: kind === 'bars' ? 0 : 2, spanGaps: true, ...drawn },
      ...(target === undefined ? [] : [{ stroke: colour('--muted'), width: 1, dash: [6, 4], points: { show: false } }]),
    ],
  };
}

/** A canvas knows no variables and no `light-dark`: the browser says what they come to here. */
function resolved(element: HTMLElement, value: string): string {
  const probe = document.createElement('span');
  probe.style.color = value;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
