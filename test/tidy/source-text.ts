/**
 * Splits a source file into code, comments and literals, so that a rule looks only where it means to look: a word in a comment
 * is no call, and a sample in a string is no offence. A reader of this repository's own style, not of all of ECMAScript: whether
 * a slash divides or opens a regular expression is told by the token before it.
 */

export type PieceKind = 'code' | 'comment' | 'string' | 'regex'

export interface Piece {
  readonly kind: PieceKind
  /** The text with its delimiters. A template literal is cut at its substitutions; these are code. */
  readonly text: string
  /** Index of the first character in the file. */
  readonly start: number
}

/** A slash after one of these opens a regular expression. */
const BEFORE_REGEX = /(^|[=(,[{:;!&|?+\-*%<>~^}]|\b(return|typeof|case|in|of|do|else|void|yield|await))\s*$/

export function piecesOf(text: string): readonly Piece[] {
  const pieces: Piece[] = []
  /** For every open template literal: how many braces are open inside its current substitution. */
  const substitutions: number[] = []
  let codeStart = 0
  let at = 0

  const add = (kind: PieceKind, end: number): void => {
    if (codeStart < at) pieces.push({ kind: 'code', text: text.slice(codeStart, at), start: codeStart })
    pieces.push({ kind, text: text.slice(at, end), start: at })
    at = end
    codeStart = end
  }

  while (at < text.length) {
    const character = text[at]
    const next = text[at + 1]
    if (character === '/' && next === '/') add('comment', endOf(text, '\n', at))
    else if (character === '#' && next === '!' && at === 0) add('comment', endOf(text, '\n', at))
    else if (character === '/' && next === '*') add('comment', endOf(text, '*/', at + 2) + 2)
    else if (character === "'" || character === '"') add('string', quotedEnd(text, at))
    else if (character === '/' && BEFORE_REGEX.test(text.slice(codeStart, at))) add('regex', regexEnd(text, at))
    else if (character === '`' || (character === '}' && substitutions.at(-1) === 0)) {
      if (character === '}') substitutions.pop()
      const part = templatePart(text, at)
      if (part.opensSubstitution) substitutions.push(0)
      add('string', part.end)
    } else {
      const depth = substitutions.at(-1)
      if (depth !== undefined && character === '{') substitutions[substitutions.length - 1] = depth + 1
      if (depth !== undefined && character === '}') substitutions[substitutions.length - 1] = depth - 1
      at += 1
    }
  }
  if (codeStart < text.length) pieces.push({ kind: 'code', text: text.slice(codeStart), start: codeStart })
  return pieces
}

/** The text with everything but the wanted kinds blanked out: comments by spaces, literals by quotes. Offsets and lines stay. */
export function only(text: string, ...kinds: readonly PieceKind[]): string {
  return piecesOf(text)
    .map(({ kind, text: piece }) => {
      return kinds.includes(kind) ? piece : piece.replaceAll(/[^\n]/g, kind === 'comment' || kind === 'code' ? ' ' : "'")
    })
    .join('')
}

export interface ImportedModule {
  readonly specifier: string
  readonly start: number
}

/** What a file imports or re-exports: static, dynamic and type-only alike. */
export function importsOf(text: string): readonly ImportedModule[] {
  const imports: ImportedModule[] = []
  const pieces = piecesOf(text).filter((piece) => piece.kind !== 'comment')
  for (const [index, piece] of pieces.entries()) {
    const before = pieces[index - 1]
    if (piece.kind !== 'string' || before?.kind !== 'code') continue
    if (/(\bfrom|\bimport|\b(import|require)\s*\()\s*$/.test(before.text)) {
      imports.push({ specifier: piece.text.slice(1, -1), start: piece.start })
    }
  }
  return imports
}

export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

function endOf(text: string, terminator: string, from: number): number {
  const end = text.indexOf(terminator, from)
  return end === -1 ? text.length : end
}

function quotedEnd(text: string, start: number): number {
  const quote = text[start]
  let at = start + 1
  while (at < text.length && text[at] !== quote && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function regexEnd(text: string, start: number): number {
  let inClass = false
  let at = start + 1
  while (at < text.length && text[at] !== '\n' && (inClass || text[at] !== '/')) {
    if (text[at] === '[') inClass = true
    if (text[at] === ']') inClass = false
    at += text[at] === '\\' ? 2 : 1
  }
  return at + 1
}

function templatePart(text: string, start: number): { end: number; opensSubstitution: boolean } {
  let at = start + 1
  while (at < text.length) {
    if (text[at] === '`') return { end: at + 1, opensSubstitution: false }
    if (text[at] === '$' && text[at + 1] === '{') return { end: at + 2, opensSubstitution: true }
    at += text[at] === '\\' ? 2 : 1
  }
  return { end: text.length, opensSubstitution: false }
}
