import type { Clock } from '../src/index.ts';

/** A wall clock that a test moves by hand. */
export class ManualWall implements Clock {
  ms: number;

  constructor(start: string | number = '2026-03-15T12:00:00Z') {
    this.ms = new Date(start).getTime();
  }

  wall(): number {
    return this.ms;
  }

  advance(ms: number): void {
    this.ms += ms;
  }
}
