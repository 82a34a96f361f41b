import type { Crossing, PendingAlert } from './store.ts';

const DAY_MS = 86_400_000;

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
    const claimed: PendingAlert[] = [];
    for (const { told, ...alert } of this.#alerts.values()) {
      const before = told.get(sink) ?? { againAt: 0, attempts: 0 };
      if (claimed.length >= limit || alert.end <= now - DAY_MS || before.againAt > now) continue;
      told.set(sink, { againAt: leaseUntil, attempts: before.attempts + 1 });
      claimed.push({ ...alert, attempts: before.attempts });
    }
    return claimed;
  }

  end(sink: string, id: string, againAt = Number.POSITIVE_INFINITY): void {
    const told = this.#alerts.get(id)?.told.get(sink);
    if (told) told.againAt = againAt;
  }
}

/** What names a crossing: a budget, a period and a line. */
export function alertId(budget: string, periodStart: number, level: string): string {
  return `${periodStart}-${level}-${budget}`;
}
