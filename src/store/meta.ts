/** The records of the store about itself that are JSON. */
import { MillraceError } from '../base/errors.js'
import { metaKey } from '../codec/keys.js'
import type { Engine } from './engine.js'

/** The record of that name, if there is one. @throws MillraceError `MILLRACE_STORE_CORRUPT` */
export function readMeta<T>(engine: Engine, name: string): T | undefined {
  const bytes = engine.get('meta', metaKey(name))
  if (bytes === undefined) return undefined
  try {
    return JSON.parse(bytes.toString('utf8')) as T
  } catch (error) {
    throw new MillraceError('MILLRACE_STORE_CORRUPT', `The store's record "${name}" cannot be read.`, { cause: error })
  }
}
