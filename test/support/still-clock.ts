import { systemClock } from '../../src/base/clock.js'
import { FakeClock } from './fake-clock.js'

/** A clock by which no job takes long, so that nothing is taken back for that, however much the machine has to do. */
export class StillClock extends FakeClock {
  readonly #ms = systemClock.monotonicMs()

  override monotonicMs(): number {
    return this.#ms
  }
}
