/**
 * Forms (`multipart/form-data`, RFC 7578) without their boundary: a client that encodes a form again takes another, and means the same.
 */
import * as HttpBody from "effect/http/HttpBody"

export interface Unbound {
  /** What stands between the delimiters, one piece after the other. */
  readonly content: Uint8Array<ArrayBuffer>
  /** How long each piece is. Two forms with the same content and lengths differ in nothing but their boundary. */
  readonly lengths: ReadonlyArray<number>
}

/** `undefined` for what is no form, or says no boundary. */
export const withoutBoundary = (contentType: string | undefined, body: Uint8Array): Unbound | undefined => {
  const boundary = boundaryOf(contentType ?? "")
  if (boundary === undefined) return undefined
  // a delimiter begins with the end of a line (RFC 2046 §5.1.1); but the first may be where the body begins
  const delimiter = HttpBody.text(`\r\n--${boundary}`).body
  const isFirst = matches(body, delimiter.subarray(2), 0)
  const content = new Uint8Array(body.length)
  const lengths = isFirst ? [0] : []
  let length = 0
  let from = isFirst ? delimiter.length - 2 : 0
  for (;;) {
    const to = indexOf(body, delimiter, from)
    const piece = body.subarray(from, to)
    content.set(piece, length)
    length += piece.length
    lengths.push(piece.length)
    if (to === body.length) return { content: content.subarray(0, length), lengths }
    from = to + delimiter.length
  }
}

const parameter = /;\s*([^=;\s]+)=(?:"((?:[^"\\]|\\.)*)"|([^;]*))/g

/** At most 70 characters (RFC 2046 §5.1.1). */
const boundaryOf = (contentType: string): string | undefined => {
  if (!/^\s*multipart\/form-data\s*;/i.test(contentType)) return undefined
  for (const [, name, quoted, bare] of contentType.matchAll(parameter)) {
    if (name!.toLowerCase() !== "boundary") continue
    const boundary = quoted?.replace(/\\(.)/g, "$1") ?? bare!.trim()
    return /^[ -~]{1,70}$/.test(boundary) ? boundary : undefined
  }
  return undefined
}

const matches = (body: Uint8Array, part: Uint8Array, at: number): boolean =>
  at + part.length <= body.length && part.every((byte, i) => body[at + i] === byte)

/** Where the part is next, or the end. */
const indexOf = (body: Uint8Array, part: Uint8Array, from: number): number => {
  for (let at = body.indexOf(part[0]!, from); at !== -1; at = body.indexOf(part[0]!, at + 1)) {
    if (matches(body, part, at)) return at
  }
  return body.length
}
