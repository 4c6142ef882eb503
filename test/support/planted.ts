/** Puts `method` in the place of a class's own while `run` goes on: a fault that is planted. */
export async function planted<Owner extends object, Name extends keyof Owner, Value>(
  owner: Owner,
  name: Name,
  method: (own: Owner[Name]) => Owner[Name],
  run: () => Promise<Value>,
): Promise<Value> {
  const own = owner[name]
  owner[name] = method(own)
  try {
    return await run()
  } finally {
    owner[name] = own
  }
}
