/** Thrown when the library finds its own state impossible: a defect in Millrace, never in the caller. */
export class AssertionFailure extends Error {
  static {
    this.prototype.name = 'AssertionFailure'
  }
}

/** States what must hold. Stays on in production: going on from an impossible state could lose a job. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(`Millrace internal error: ${message}. Please report this.`)
}
