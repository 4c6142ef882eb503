/** Text in columns, for a terminal: as wide as what is in them, coloured after it was measured. */
import { printable } from '../demo/format-quantity.js'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string

export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

export type Cell = string | { readonly text: string; readonly style: Style | undefined }

const GAP = '  '
/** Of two columns, in a terminal; combining marks and joiners have none. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303F\uFF01-\uFF60]/u
const NARROW = /[\p{Mn}\p{Me}\p{Cf}]/u

/** Columns of a terminal that a text takes, near enough. */
export function textWidth(text: string): number {
  let width = 0
  for (const character of text) width += NARROW.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  return width
}

/** As much of the text as has room. */
export function cutText(text: string, width: number): string {
  if (textWidth(text) <= width) return text
  let cut = ''
  let left = Math.max(0, width - 1)
  for (const character of text) {
    left -= textWidth(character)
    if (left < 0) break
    cut += character
  }
  return width < 1 ? '' : `${cut}…`
}

/** The lines of a table. The last column may be as long as it likes, but no line is longer than `width`. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
  width = Infinity,
): string[] {
  const texts = rows.map((row) => row.map((cell) => printable(typeof cell === 'string' ? cell : cell.text)))
  const widths = columns.map(({ title }, index) => Math.max(textWidth(title), ...texts.map((row) => textWidth(row[index] ?? ''))))
  const line = (cells: readonly string[], styleOf: (index: number) => Style | undefined): string => {
    let left = width
    let text = ''
    for (const [index, column] of columns.entries()) {
      if (left <= 0) break
      const isLast = index === columns.length - 1
      const cell = cells[index] ?? ''
      const fill = ' '.repeat(Math.max(0, (widths[index] ?? 0) - textWidth(cell)))
      const padded = cutText(column.align === 'right' ? fill + cell : isLast ? cell : cell + fill, left)
      const style = styleOf(index)
      text += style === undefined ? padded : paint(style, padded)
      left -= textWidth(padded)
      if (isLast || left < GAP.length) break
      text += GAP
      left -= GAP.length
    }
    return text.trimEnd()
  }
  return [
    line(
      columns.map(({ title }) => title),
      () => 'dim',
    ),
    ...texts.map((cells, row) =>
      line(cells, (index) => {
        const cell = rows[row]?.[index]
        return typeof cell === 'object' ? cell.style : undefined
      }),
    ),
  ]
}
