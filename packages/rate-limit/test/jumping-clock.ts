import { ManualClock } from '@tidegate/test-kit';

/** A clock that breaks its promise: it can be set back, as a suspended or migrated machine may do. */
export class JumpingClock extends ManualClock {
  #jumped = 0;

  override now(): number {
    return super.now() + this.#jumped;
  }

  jump(ms: number): void {
    this.#jumped += ms;
  }
}
