import { createRequire } from 'node:module'

createRequire(import.meta.url)('workerpool').worker({ noop: () => undefined })
