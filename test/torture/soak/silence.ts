/** How long the soak may make no step before it is asked whether it hangs. */
export interface Silence {
  readonly ms: number
  /** Fresh processes that come and go then. */
  readonly processes: number
}

export const SILENCE: Silence = { ms: 180_000, processes: 5 }
