/** `npm run bench` runs every benchmark, `npm run bench -- <name> [options]` one of them. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ALL = ['throughput', 'cpu', 'latency', 'timeouts', 'host', 'payload', 'peers', 'backlog', 'churn', 'scale']
const [name, ...rest] = process.argv.slice(2)
const chosen = name === undefined ? ALL : [name]
for (const each of chosen) {
  if (!ALL.includes(each)) {
    console.error(`There is no benchmark "${each}". There are: ${ALL.join(', ')}.`)
    process.exit(2)
  }
  console.log(`\n## ${each}`)
  const file = fileURLToPath(new URL(`./${each}.js`, import.meta.url))
  const { status } = spawnSync(process.execPath, [file, ...rest], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
