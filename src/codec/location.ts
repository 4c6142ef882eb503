/** Where a job lies that left the page in which it was enqueued: one byte for the table, then the key in it. */

export interface Location {
  readonly table: 'pages' | 'scheduled'
  readonly key: Buffer
}

export function writeLocation(table: Location['table'], key: Buffer): Buffer {
  return Buffer.concat([Buffer.of(table === 'pages' ? 0 : 1), key])
}

export function readLocation(value: Buffer): Location {
  return { table: value[0] === 0 ? 'pages' : 'scheduled', key: Buffer.from(value.subarray(1)) }
}
