/** Lints this repository by the rules in `rules.ts`, and proves every rule by a fault planted in a sample. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, test } from 'node:test'
import * as rules from './rules.js'
import type { Rule, SourceFile } from './rules.js'
import { importsOf, only } from './source-text.js'

const ROOT = new URL('../../../', import.meta.url)

interface Sample {
  /** Files by path. */
  readonly files: Readonly<Record<string, string>>
  /** What the rule must say, one entry per finding. Omitted: nothing. */
  readonly finds?: readonly RegExp[]
}

interface House {
  readonly rule: Rule
  readonly samples: Readonly<Record<string, Sample>>
}

/** Samples of what must not stand in a tracked file, assembled so that it does not stand in this one. */
const slash = '/'
const quote = '"'
const underscore = '_'
const long = (lines: number): string => 'const a = 1\n'.repeat(lines)

const house: Readonly<Record<string, House>> = {
  'imports only go down': {
    rule: rules.layers,
    samples: {
      up: {
        files: { 'src/job/a.ts': `import { b } from '../store/b.js'` },
        finds: [/^src\/job\/a\.ts:1: imports up: src\/store\/b\.ts is layer 3/],
      },
      'up, for a type, by re-export, and dynamically': {
        files: {
          'src/base/a.ts': [
            `import type { B } from '../job/b.js'`,
            `export { c } from '../job/c.js'`,
            `const d = await import('../job/d.js')`,
            `type E = import('../job/e.js').E`,
          ].join('\n'),
        },
        finds: [/a\.ts:1: imports up/, /a\.ts:2: imports up/, /a\.ts:3: imports up/, /a\.ts:4: imports up/],
      },
      'the public index, by its package name': {
        files: { 'src/base/a.ts': `import { defineJob } from 'millrace'` },
        finds: [/imports up: src\/index\.ts/],
      },
      'a service that imports a service': {
        files: { 'src/scheduler/a.ts': `import { b } from '../dispatcher/b.js'` },
        finds: [/services never import one another/],
      },
      'a file in no layer': {
        files: {
          'src/utils/a.ts': '',
          'src/base/b.ts': `import { c } from '../utils/c.js'`,
          'src/base/d.ts': `import '../../test/e.js'`,
        },
        finds: [
          /a\.ts:1: src\/utils stands in no layer/,
          /src\/utils\/c\.ts, which stands in no layer/,
          /test\/e\.ts, which stands/,
        ],
      },
      'a thread that imports the store': {
        files: { 'workers/a.ts': `import { b } from '../src/store/b.js'` },
        finds: [/workers\/a\.ts:1: imports up: src\/store\/b\.ts is layer 3/],
      },
      'a source that imports a thread': {
        files: { 'src/dispatcher/worker-url.ts': `import { entry } from '../../workers/entry.js'` },
        finds: [/imports workers\/entry\.ts; threads are started by URL/],
      },
      "a second file that knows the thread's URL": {
        files: { 'src/dispatcher/pool.ts': `const url = new URL('../../workers/entry.js', import.meta.url)` },
        finds: [/only src\/dispatcher\/worker-url\.ts knows/],
      },
      'down, aside, and by URL': {
        files: {
          'src/store/lmdb/a.ts': `import { b } from '../../job/b.js'\nimport { c } from './c.js'\nimport { d } from 'lmdb'`,
          'src/codec/a.ts': `import { b } from '../protocol/b.js'\n// import { c } from '../store/c.js'\nconst d = "import '../store/d.js'"`,
          'src/dispatcher/worker-url.ts': `export const threadUrl = new URL('../../workers/entry.js', import.meta.url)`,
          'workers/main.ts': `import { a } from './a.js'\nimport { b } from '../src/codec/b.js'`,
          'test/unit/a.test.ts': `import { b } from '../../src/store/b.js'`,
        },
      },
    },
  },
  'one folder imports piscina, one lmdb': {
    rule: rules.packageHomes,
    samples: {
      elsewhere: {
        files: { 'src/store/a.ts': `import { Piscina } from 'piscina'`, 'workers/b.ts': `import { open } from 'lmdb/index.js'` },
        finds: [
          /src\/store\/a\.ts:1: only src\/dispatcher\/ imports piscina/,
          /workers\/b\.ts:1: only src\/store\/ imports lmdb/,
        ],
      },
      'at home, and in a bench': {
        files: {
          'src/dispatcher/a.ts': `import { Piscina } from 'piscina'`,
          'src/store/lmdb/b.ts': `import { open } from 'lmdb'`,
          'src/base/c.ts': `import { constructor } from 'constructor'`,
          'bench/raw-piscina.ts': `import { Piscina } from 'piscina'`,
        },
      },
    },
  },
  'no import cycles': {
    rule: rules.importCycles,
    samples: {
      'of three, one by type': {
        files: {
          'src/job/a.ts': `import { b } from './b.js'`,
          'src/job/b.ts': `import type { C } from './c.js'`,
          'src/job/c.ts': `export { a } from './a.js'`,
        },
        finds: [/import cycle src\/job\/a\.ts → src\/job\/b\.ts → src\/job\/c\.ts → src\/job\/a\.ts/],
      },
      'of itself': {
        files: { 'src/job/a.ts': `import { b } from './a.js'` },
        finds: [/cycle src\/job\/a\.ts → src\/job\/a\.ts/],
      },
      'a diamond': {
        files: {
          'src/job/a.ts': `import './b.js'\nimport './c.js'`,
          'src/job/b.ts': `import './d.js'`,
          'src/job/c.ts': `import './d.js'`,
          'src/job/d.ts': `import './missing.js'`,
        },
      },
    },
  },
  'no barrels': {
    rule: rules.barrels,
    samples: {
      'every kind of re-export': {
        files: {
          'src/job/index.ts': `/** All of it. */\nexport * from './a.js'\nexport * as b from './b.js'\nexport type { C } from './c.js'`,
          'test/all.ts': `import { a } from './a.js'\nexport { a }`,
        },
        finds: [/^src\/job\/index\.ts:1: only re-exports/, /^test\/all\.ts:1: only re-exports/],
      },
      'the public index, and files that do something': {
        files: {
          'src/index.ts': `export { a } from './job/a.js'`,
          'src/job/a.ts': `export { b } from './b.js'\nexport const c = 1`,
          'src/cli/main.ts': `import { run } from './run.js'\nawait run()`,
        },
      },
    },
  },
  'files are short': {
    rule: rules.fileLength,
    samples: {
      'one line over': {
        files: { 'src/job/a.ts': long(401), 'workers/b.ts': long(401) },
        finds: [/^src\/job\/a\.ts:400: 401 lines/, /^workers\/b\.ts:400: 401 lines/],
      },
      'at the limit, and a test': { files: { 'src/job/a.ts': long(400), 'test/unit/b.test.ts': long(900) } },
    },
  },
  'time, chance and output have their homes': {
    rule: rules.ambientCalls,
    samples: {
      'each of them elsewhere': {
        files: {
          'src/executor/a.ts': [
            'const a = Date.now()',
            'const b = new Date()',
            'const c = [new Date]',
            'const d = Math.random()',
            'setTimeout(e, 1)',
            'globalThis.setInterval(f, 1)',
            'console.log(g)',
            'const h = process.hrtime.bigint()',
            'const i = performance.now()',
            'const j = `${Date.now()}`',
          ].join('\n'),
        },
        finds: [
          /:1: Date/,
          /:2: new/,
          /:3: new/,
          /:8: process/,
          /:9: perf/,
          /:10: Date/,
          /:5: setT/,
          /:6: .*setI/,
          /:4: Math/,
          /:7: cons/,
        ],
      },
      'timers by import': {
        files: { 'src/executor/a.ts': `import { setTimeout as sleep } from 'node:timers/promises'` },
        finds: [/:1: setTimeout outside the homes of timer/, /:1: imports node:timers\/promises/],
      },
      'chance in a thread, immediates in a service': {
        files: { 'workers/a.ts': 'Math.random()', 'src/dispatcher/b.ts': 'setImmediate(c)' },
        finds: [/workers\/a\.ts:1: Math\.random/, /src\/dispatcher\/b\.ts:1: setImmediate/],
      },
      'at home, in comments, in text, and with an instant given': {
        files: {
          'src/base/clock.ts': 'Date.now(); setTimeout(a, 1)',
          'src/base/random.ts': 'Math.random()',
          'src/executor/a.ts': 'setImmediate(b)',
          'src/cli/main.ts': 'console.log(1)',
          'src/job/c.ts': `// Date.now()\nconst d = 'setTimeout(e)'\nnew Date('2026-01-01')\nnew Date(f)\nclock.setTimeout(g)\nlet h: Date`,
          'test/unit/i.test.ts': 'setTimeout(j, Math.random())',
        },
      },
    },
  },
  'nothing is left over': {
    rule: rules.leftovers,
    samples: {
      'marks in comments, casts and narrowed tests in code': {
        files: {
          'src/job/a.ts': `// TODO: later\n/* FIXME XXX */\n// @ts-ignore\nconst b = c as any`,
          'test/unit/d.test.ts': `test.only('e', f)\ndescribe.skip('g', h)\ntest('i', { skip: true }, j)`,
          'README.md': 'HACK',
        },
        finds: [
          /:1: .*TODO/,
          /:2: .*FIXME/,
          /:2: .*XXX/,
          /:3: .*@ts-ignore/,
          /:4: .*as any/,
          /:1: .*only/,
          /:2: .*skip/,
          /:3: .*skip/,
          /README\.md:1/,
        ],
      },
      'the same in text, and a cursor that skips': {
        files: { 'src/job/a.ts': `const b = 'TODO: test.only(x as any)'\ncursor.skip(4)\nconst pattern = /TODO as any/` },
      },
    },
  },
  'no trace of a machine': {
    rule: rules.machineTraces,
    samples: {
      'paths and hosts': {
        files: {
          'README.md': `cd ${slash}home/ada/app\nopen file://${slash}root/.npmrc`,
          'bench/a.ts': `const path = '${slash}tmp/bench'\nconst b = \`${slash}work/x\``,
          'package-lock.json': `${quote}resolved": "https:${slash}${slash}registry.example/a.tgz"`,
          '.npmrc': `${slash}${slash}registry.example/:${underscore}authToken=1`,
        },
        finds: [
          /README\.md:1/,
          /README\.md:2/,
          /bench\/a\.ts:1/,
          /bench\/a\.ts:2/,
          /lock\.json:1/,
          /lock\.json:1/,
          /npmrc:1/,
          /npmrc:1/,
        ],
      },
      'relative and joined paths': {
        files: {
          'test/a.ts': "join(os.tmpdir(), 'a'); './tmp/b'; `${dir}/work/c`; 'data/home/d'; registry.get(e)",
          'README.md': '~/work/a',
        },
      },
    },
  },
  'long files say what they own': {
    rule: rules.headers,
    samples: {
      'no header': {
        files: { 'src/job/a.ts': long(81), 'workers/b.ts': `#!/usr/bin/env node\n${long(80)}` },
        finds: [/a\.ts:1: 81/, /b\.ts:1: 81/],
      },
      'a header, a short file, a test': {
        files: {
          'src/cli/main.ts': `#!/usr/bin/env node\n/** The program. */\n${long(80)}`,
          'src/job/b.ts': `// Owns b.\n${long(80)}`,
          'src/job/c.ts': long(80),
          'test/unit/d.test.ts': long(200),
        },
      },
    },
  },
}

const filesOf = (sample: Sample): readonly SourceFile[] => Object.entries(sample.files).map(([path, text]) => ({ path, text }))

/** Every file that is or would be tracked, without the binary ones. */
function readTree(): readonly SourceFile[] {
  const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: fileURLToPath(ROOT) })
  return list
    .toString()
    .split('\0')
    .filter((path) => path !== '')
    .flatMap((path) => {
      try {
        return [{ path, text: readFileSync(new URL(path, ROOT), 'utf8') }]
      } catch {
        return [] // deleted, and not yet committed
      }
    })
    .filter((file) => !file.text.includes('\0'))
}

describe('the rules see the fault they are for', () => {
  for (const [name, { rule, samples }] of Object.entries(house)) {
    for (const [sampleName, sample] of Object.entries(samples)) {
      test(`${name}: ${sampleName}`, () => {
        const findings = rule(filesOf(sample))
        const expected = sample.finds ?? []
        assert.equal(findings.length, expected.length, `found:\n${findings.join('\n')}`)
        for (const [index, pattern] of expected.entries()) assert.match(findings[index]!, pattern)
      })
    }
  }

  test('no rule is without its samples', () => {
    const written = Object.values(rules).filter((value) => typeof value === 'function')
    assert.deepEqual(new Set(Object.values(house).map((entry) => entry.rule)), new Set(written))
    for (const { samples } of Object.values(house)) assert.ok(Object.values(samples).some((sample) => sample.finds !== undefined))
  })
})

describe('the tree', () => {
  const tree = readTree()

  test('was found', () => {
    assert.ok(tree.some((file) => file.path === 'src/base/errors.ts'))
  })

  for (const [name, { rule }] of Object.entries(house)) {
    test(name, () => {
      const findings = rule(tree)
      assert.equal(findings.length, 0, `\n${findings.join('\n')}\n`)
    })
  }
})

describe('source text', () => {
  test('tells code from comments, strings, templates and regular expressions', () => {
    const text = 'a = "x//y" // b\nc = `d ${e + `f${g}` + {}} h` /* i */\nj = /[/"]k/ + l / m / n'
    assert.equal(only(text, 'comment').replaceAll("'", ' ').trim().split(/\s+/).join(' '), '// b /* i */')
    assert.equal(
      only(text, 'code')
        .replaceAll(/['\s]+/g, ' ')
        .trim(),
      'a = c = e + g + {} j = + l / m / n',
    )
    assert.equal(only(text, 'code').length, text.length)
  })

  test('finds imports over several lines, and no others', () => {
    const text = `import {\n  a,\n  b,\n} from './c.js'\nArray.from('d')\nimport './e.js'\n// from './f.js'\nrequire('g')`
    assert.deepEqual(
      importsOf(text).map((imported) => imported.specifier),
      ['./c.js', './e.js', 'g'],
    )
  })
})
