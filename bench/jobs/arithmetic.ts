import { defineJob } from '../../src/index.js'
import { compute } from '../support/compute.js'

/** Nothing but arithmetic. */
export const arithmetic = defineJob({
  name: 'arithmetic',
  module: import.meta.url,
  run(iterations: number) {
    return compute(iterations)
  },
})
