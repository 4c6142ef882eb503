/** What the error of a failed commit says of the commit's fate. Real failing disks are in `torture/io`. */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { it } from 'node:test'

import { commitFailure, outgrown } from '../../src/store/lmdb/commit-failure.js'

/** As lmdb-js rejects: the real error is what a promise beside it rejects with. */
function rejection(code: number): unknown {
  const commitError = Promise.reject(Object.assign(new Error(`error ${code}`), { code }))
  return Object.assign(new Error('Commit failed'), { commitError })
}

const EIO = 5
const EFBIG = 27
const ENOSPC = 28

it('a disk that refused a commit may have stored it, and the error says so', async () => {
  const error = await commitFailure(rejection(EIO), tmpdir(), 100)
  assert.equal(error.code, 'MILLRACE_STORE_FAILED')
  assert.match(error.message, /error 5/)
  assert.match(error.message, /if the disk stored it all the same, it is found, whole, when the store is opened again/)
  assert.doesNotMatch(error.message, /Nothing of this commit/)
})

it('a commit for which there was no room is not stored, and the error says so', async () => {
  const errors = [
    await commitFailure(rejection(ENOSPC), tmpdir(), 100),
    await commitFailure(rejection(EFBIG), tmpdir(), 100),
    // As unclear as EIO, and more than any disk has room for.
    await commitFailure(rejection(EIO), tmpdir(), Number.MAX_SAFE_INTEGER),
    outgrown(tmpdir(), 4096),
  ]
  for (const { message } of errors) assert.match(message, /Nothing of this commit was stored\..* closed and opened again\.$/)
})
