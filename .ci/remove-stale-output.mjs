/**
 * Removes compiled files whose source is gone, so that a deleted test does not run on and a deleted module is not published.
 * What is still there is left for the compiler to overwrite: programs that run from `dist` meanwhile are not disturbed.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'

const OUTPUT = /\.(d\.ts|js)(\.map)?$/

for (const file of existsSync('dist') ? readdirSync('dist', { recursive: true }) : []) {
  if (OUTPUT.test(file) && !existsSync(file.replace(OUTPUT, '.ts'))) rmSync(`dist/${String(file)}`, { force: true })
}
