/** Somebody whom permissions bind: root is not bound by them, and tries as another user what others try as themselves. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Place } from '../../support/demo-program.js'

const NOBODY = 65_534
const INDEX = fileURLToPath(new URL('../../../src/index.js', import.meta.url))

/** As whom to run; or why there is nobody. */
export function whomPermissionsBind(): Place | string {
  if (process.platform === 'win32') return 'Windows has no such permissions'
  if (process.getuid?.() !== 0) return {}
  const nobody = { uid: NOBODY, gid: NOBODY }
  try {
    execFileSync(process.execPath, ['-e', `require('node:fs').readFileSync(${JSON.stringify(INDEX)})`], {
      ...nobody,
      stdio: 'pipe',
    })
    return nobody
  } catch (error) {
    return `root cannot run this checkout as another user (${(error as Error).message.split('\n')[0]})`
  }
}
