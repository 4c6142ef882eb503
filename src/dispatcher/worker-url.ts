/** The one place that names the code of the threads. */
export const WORKER_FILE: string = new URL('../../workers/entry.cjs', import.meta.url).href
