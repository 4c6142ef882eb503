/**
 * A process that asks an HTTP server for a small answer, a bounded number of times, at a steady pace that does not wait for
 * answers (an open loop). Writes the latencies in ms, counted from the instant each request was to be sent, as JSON.
 */
import { Agent, get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

const [port, count, perSecond] = process.argv.slice(2).map(Number) as [number, number, number]
const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const latencies: number[] = []

await ask()
const began = performance.now()
const asked: Promise<void>[] = []
while (asked.length < count) {
  const dueMs = began + (asked.length * 1000) / perSecond
  const now = performance.now()
  if (dueMs > now) {
    await pause(dueMs - now)
    continue
  }
  asked.push(ask().then(() => void latencies.push(performance.now() - dueMs)))
}
await Promise.all(asked)
agent.destroy()
process.stdout.write(JSON.stringify(latencies))

async function ask(): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    get({ port, host: '127.0.0.1', agent }, (response) => {
      response.resume().once('end', resolve)
    }).once('error', reject)
  })
}
