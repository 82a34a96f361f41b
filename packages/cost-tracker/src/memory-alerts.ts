import type { Crossing, PendingAlert } from './store.ts';

const DAY_MS = 86_400_000;
const TOLD = Number.POSITIVE_INFINITY;
const LEVELS = ['warning', 'critical', 'blocked'];

interface Told {
  /** When it may be tried again; Infinity once it was told. */
  againAt: number;
  attempts: number;
}

interface Alert extends Omit<PendingAlert, 'attempts'> {
  readonly told: Map<string, Told>;
}

/** The crossings of a ledger in memory, and who was told of them. */
export class MemoryAlerts {
  readonly #alerts = new Map<string, Alert>();

  /** False where that threshold was crossed in that period before. */
  insert({ window, mark, spent }: Crossing, now: number): boolean {
    const id = alertId(window.budget, window.periodStart, mark.level);
    if (this.#alerts.has(id)) return false;
    const { budget, limit, periodStart: start, resetsAt: end } = window;
    const { level, threshold } = mark;
    this.#alerts.set(id, { id, budget, level, threshold, spent, limit, start, end, crossedAt: now, told: new Map() });
    return true;
  }

  claim(sink: string, now: number, leaseUntil: number, limit: number): PendingAlert[] {
    const pending = [...this.#alerts.values()].filter(({ end, told }) => end > now - DAY_MS && told.get(sink)?.againAt !== TOLD);
    const lowest = new Map<string, Alert>();
    for (const alert of pending) {
      const period = alertId(alert.budget, alert.start, '');
      const other = lowest.get(period);
      if (other === undefined || LEVELS.indexOf(alert.level) < LEVELS.indexOf(other.level)) lowest.set(period, alert);
    }
    const due = [...lowest.values()].filter(({ told }) => (told.get(sink)?.againAt ?? 0) <= now);
    return due.slice(0, limit).map(({ told, ...alert }) => {
      const attempts = told.get(sink)?.attempts ?? 0;
      told.set(sink, { againAt: leaseUntil, attempts: attempts + 1 });
      return { ...alert, attempts };
    });
  }

  end(sink: string, id: string, againAt = TOLD): void {
    const told = this.#alerts.get(id)?.told.get(sink);
    if (told && told.againAt !== TOLD) told.againAt = againAt;
  }
}

/** What names a crossing: a budget, a period and a line. */
export function alertId(budget: string, periodStart: number, level: string): string {
  return `${periodStart}-${level}-${budget}`;
}
