/**
 * What is said over the control socket: lines of JSON, in both directions.
 *
 *   server  {"millrace":"0.1.0","protocol":1,"pid":4711,"openedAt":1700000000000}     once, at the beginning
 *   client  {"id":1,"call":"status","with":{…}}                                       one at a time
 *   server  {"id":1,"items":[…]} · {"id":1,"progress":{…}} · {"id":1,"pulse":true}    as often as there is something
 *           {"id":1,"result":…}  or  {"id":1,"error":{"code":"…","message":"…"}}      at the end
 *
 * A pulse says that a call is still at work: a client that hears nothing for seconds knows that the executor's event loop stands still.
 * Whoever changes what a call takes or gives, other than by adding to it, raises `PROTOCOL`.
 */

/** Of this version. A client and a server that differ say so and part. */
export const PROTOCOL = 1

export interface Hello {
  /** The version of the package. */
  readonly millrace: string
  readonly protocol: number
  readonly pid: number
  /** When the executor opened, in epoch ms. */
  readonly openedAt: number
}

export interface Refusal {
  /** Of a `MillraceError`, or `MILLRACE_CONTROL` for what is wrong with the conversation itself. */
  readonly code: string
  readonly message: string
}

/** One line of an answer. */
export type Answer =
  | { readonly id: number; readonly items: readonly unknown[] }
  | { readonly id: number; readonly progress: unknown }
  | { readonly id: number; readonly pulse: true }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: Refusal }

/** The ways by which a call tells something before its end. */
export interface Reply {
  /** Resolves when the client has room for more. @throws when it is gone */
  items(items: readonly unknown[]): Promise<void>
  /** @throws when the client is gone */
  progress(progress: unknown): void
}

/** A call: what it is given by the client is not to be trusted. */
export type Call = (given: unknown, reply: Reply) => Promise<unknown>

export type Calls = Readonly<Record<string, Call>>
