import { defineJob } from '../../src/index.js'

/** Gives back the bytes it was given. */
export const echo = defineJob({
  name: 'echo',
  module: import.meta.url,
  run(input: Buffer) {
    return input
  },
})
