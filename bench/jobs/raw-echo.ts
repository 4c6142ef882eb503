import { move } from 'piscina'

export interface RawEchoInput {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Hand the bytes back instead of copying them. */
  readonly transfer: boolean
}

/** What raw Piscina runs: gives back the bytes it was given. */
export default function rawEcho({ bytes, transfer }: RawEchoInput): unknown {
  return transfer ? move(bytes) : bytes
}
