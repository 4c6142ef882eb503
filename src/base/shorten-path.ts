/** Characters that are shown of each end. */
const SHOWN = 200

/** A path may have thousands of characters; its ends tell which one it is. */
export function shortenPath(text: string): string {
  return text.length <= 2 * SHOWN ? text : `${text.slice(0, SHOWN)}…${text.slice(-SHOWN)} (${text.length} characters)`
}
