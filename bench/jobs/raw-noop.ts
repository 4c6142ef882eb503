/** What raw Piscina runs: the same nothing, with the same input. */
export default function rawNoop(_input: unknown): undefined {
  return undefined
}
