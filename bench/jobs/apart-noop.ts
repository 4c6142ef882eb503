/** The handler of the definitions that lie apart from it. */
export function run(_input: unknown): undefined {
  return undefined
}
