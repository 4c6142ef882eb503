/**
 * What Piscina loads in every thread of the pool. CommonJS, the only file that is: Piscina asks for its file by `require`, and Node 20
 * aborts the whole process when a thread is terminated while a required ES module is being linked (`Module::IsGraphAsync` of a module
 * that is not instantiated). An `import()` that is cut off ends with its thread and nobody else.
 */
import type { BatchResult, BatchTask } from '../src/protocol/messages.js' with { 'resolution-mode': 'import' }

const main = import('./main.js')
// Told with every batch.
main.catch(() => undefined)

module.exports = async function runTask(task: BatchTask): Promise<BatchResult> {
  const { runBatch } = await main
  return await runBatch(task)
}
