/** `millrace demo` as a program: what it prints, what it leaves behind, and the folders it cannot do everything with. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmod, chown, mkdir, readdir, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { brotliCompressSync, constants } from 'node:zlib'
import type { Place } from '../support/demo-program.js'
import { program, setupDemo } from '../support/demo-program.js'

const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex').slice(0, 12)
const brotliBytes = (bytes: string): number =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }).length

describe('millrace demo', () => {
  test('measures every file, and leaves nothing behind', async (t) => {
    const { folder, store, run } = await setupDemo(t)
    const [two, four] = ['ab'.repeat(500), 'abcd'.repeat(400)]
    await mkdir(join(folder, 'a/b'), { recursive: true })
    await writeFile(join(folder, 'two.txt'), two)
    await writeFile(join(folder, 'a/b/four.txt'), four)
    await writeFile(join(folder, 'empty.txt'), '')
    await symlink('two.txt', join(folder, 'link.txt'))
    await symlink('.', join(folder, 'a/loop'))

    const { code, stdout, stderr } = await run()

    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    const all = brotliBytes(two) + brotliBytes(four) + brotliBytes('')
    assert.match(stdout, /^Measuring the files of .* on 2 threads\.$/m)
    assert.match(stdout, /^ {2}files +3$/m)
    assert.match(stdout, /^ {2}bytes +2\.6 kB, 1\.62 bits of entropy per byte$/m)
    assert.match(stdout, new RegExp(`^  compressed +${all} B \\(${((all / 2600) * 100).toFixed(1)} %\\)`, 'm'))
    assert.match(stdout, /^ {2}speed-up +\d+\.\d+ on 2 threads: \d+\.\d+ s of work in \d+\.\d+ s$/m)
    assert.match(stdout, /^ {2}left out +2 symbolic links and special files$/m)
    assert.match(stdout, new RegExp(`1\\.0 kB +${brotliBytes(two)} B +1\\.00 +${sha256(two)}… +two\\.txt$`, 'm'))
    assert.match(stdout, new RegExp(`1\\.6 kB +${brotliBytes(four)} B +2\\.00 +${sha256(four)}… +a/b/four\\.txt$`, 'm'))
    assert.deepEqual(await readdir(store), [])
  })

  test('shows ten files, the most compressible first', async (t) => {
    const { folder, run } = await setupDemo(t)
    for (let index = 1; index <= 12; index++) await writeFile(join(folder, `${index}.txt`), 'a'.repeat(index * 1000))
    const { stdout } = await run()
    const names = [...stdout.matchAll(/… +(\d+)\.txt$/gm)].map(([, name]) => Number(name))
    assert.deepEqual(names, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3])
  })

  test('measures a file that is too large to be read whole', async (t) => {
    const { folder, run } = await setupDemo(t)
    const sizeBytes = 33 * 2 ** 20
    await writeFile(join(folder, 'zeros'), '')
    await truncate(join(folder, 'zeros'), sizeBytes)
    const { stdout } = await run()
    assert.match(stdout, new RegExp(`34\\.6 MB +\\d+ B +0\\.00 +${sha256(Buffer.alloc(sizeBytes))}… +zeros$`, 'm'))
  })

  test('is plain text where there is no terminal, whatever the files are called', async (t) => {
    const { folder, run } = await setupDemo(t)
    await writeFile(join(folder, 'red \u001B[31m name'), 'text')
    const { stdout } = await run([], { FORCE_COLOR: '3' })
    assert.match(stdout, /red \uFFFD\[31m name$/m)
    assert.ok(!stdout.includes('\u001B'))
  })

  test('leaves its own store out when that lies in the folder', async (t) => {
    const { folder } = await setupDemo(t)
    await writeFile(join(folder, 'only.txt'), 'text')
    const { stdout } = await program(['demo', folder, '--store', folder]).ended
    assert.match(stdout, /^ {2}files +1$/m)
    assert.deepEqual(await readdir(folder), ['only.txt'])
  })
})

describe('a folder', () => {
  test('without files', async (t) => {
    const { folder, store, run } = await setupDemo(t)
    await mkdir(join(folder, 'nothing/in/here'), { recursive: true })
    const { code, stdout } = await run()
    assert.match(stdout, /There are no files in it\.\n$/)
    assert.equal(code, 0)
    assert.deepEqual(await readdir(store), [])
  })

  test('that is not there', async (t) => {
    const { folder } = await setupDemo(t)
    const { code, stdout, stderr } = await program(['demo', join(folder, 'missing')]).ended
    assert.deepEqual({ code, stdout }, { code: 1, stdout: '' })
    assert.match(stderr, /^millrace demo: There is no folder .*missing\.\n$/)
  })

  test('that is a file', async (t) => {
    const { folder } = await setupDemo(t)
    await writeFile(join(folder, 'file'), '')
    const { code, stdout, stderr } = await program(['demo', join(folder, 'file')]).ended
    assert.deepEqual({ code, stdout }, { code: 1, stdout: '' })
    assert.match(stderr, /^millrace demo: .*file is a file, not a folder\. Give the folder it lies in\.\n$/)
  })

  test('that may be read in part, or not at all', async (t) => {
    const { directory, folder, store, run } = await setupDemo(t)
    await writeFile(join(folder, 'good.txt'), 'good')
    await writeFile(join(folder, 'secret.txt'), 'secret')
    await mkdir(join(folder, 'closed'))
    const user = await ordinaryUser([directory, folder, store])
    if (user === undefined) return t.skip('the superuser may read everything, and no other user may read the program')
    await chmod(join(folder, 'secret.txt'), 0)
    await chmod(join(folder, 'closed'), 0)
    const partly = await run([], {}, user)
    const closed = await program(['demo', join(folder, 'closed')], {}, user).ended
    await chmod(join(folder, 'closed'), 0o700)

    assert.deepEqual({ code: partly.code, stderr: partly.stderr }, { code: 0, stderr: '' })
    assert.match(partly.stdout, /^ {2}files +1$/m)
    assert.match(partly.stdout, /^2 files or folders could not be read; all others are in the table:$/m)
    assert.match(partly.stdout, /^ {2}closed: permission denied \(EACCES\)$/m)
    assert.match(partly.stdout, /^ {2}secret\.txt: permission denied \(EACCES\)$/m)

    assert.equal(closed.code, 1)
    assert.match(closed.stderr, /^millrace demo: You may not read the folder .*closed \(EACCES\)\.\n$/)
  })
})

/** Somebody who is refused what is not theirs, and owns the given paths. Undefined if that cannot be arranged. */
async function ordinaryUser(paths: readonly string[]): Promise<Place | undefined> {
  if (process.getuid?.() !== 0) return process.getuid === undefined ? undefined : {}
  const nobody = { uid: 65_534, gid: 65_534 }
  for (const path of paths) await chown(path, nobody.uid, nobody.gid)
  const { code } = await program(['--version'], {}, nobody).ended.catch(() => ({ code: 1 }))
  return code === 0 ? nobody : undefined
}
