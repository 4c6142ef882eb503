/** A bare thread that nobody feeds: takes the next job from a shared counter until none is left. */
import { parentPort } from 'node:worker_threads'
import type { BareAnswer, BareOrder } from '../support/bare-threads.js'
import { compute } from '../support/compute.js'

const STEP = 20_000

parentPort?.on('message', (order: BareOrder) => {
  parentPort?.postMessage(order.type === 'run' ? run(order.jobs, order.iterations, order.counter) : calibrate(order.forMs))
})

function run(jobs: number, iterations: number, counter: Int32Array): BareAnswer {
  while (Atomics.add(counter, 0, 1) < jobs) compute(iterations)
  return { iterationsPerMs: 0 }
}

function calibrate(forMs: number): BareAnswer {
  const began = performance.now()
  let steps = 0
  for (;;) {
    compute(STEP)
    steps++
    const elapsedMs = performance.now() - began
    if (elapsedMs >= forMs) return { iterationsPerMs: (steps * STEP) / elapsedMs }
  }
}
