import { defineJob } from '../../src/index.js'
import { compute } from '../support/compute.js'

/** Nothing but arithmetic. Tells how long it took, in ms. */
export const arithmetic = defineJob({
  name: 'arithmetic',
  module: import.meta.url,
  run(iterations: number) {
    const began = performance.now()
    compute(iterations)
    return performance.now() - began
  },
})
