/**
 * As much of Structured Fields (RFC 9651) as the `RateLimit` field needs: Lists of Items and Dictionaries of Items, with parameters.
 * A field that is malformed anywhere is `undefined` as a whole, as the RFC asks.
 */

/** Numbers are numbers; all else is text as it was written: `"a string"` with its quotes, `?1` for true. */
export type BareItem = number | string

/** A member of a Dictionary has a key, one of a List has none. */
export interface Member {
  readonly key: string | undefined
  readonly value: BareItem
  readonly params: Readonly<Record<string, BareItem>>
}

export const parse = (text: string): ReadonlyArray<Member> | undefined => {
  const input = { text: text.trim(), at: 0 }
  const members: Array<Member> = []
  while (input.at < input.text.length) {
    const found = member(input)
    if (found === undefined) return undefined
    members.push(found)
    if (input.at === input.text.length) return members
    // a comma at the end is malformed
    if (take(input, comma) === undefined || input.at === input.text.length) return undefined
  }
  return members
}

interface Input {
  readonly text: string
  at: number
}

const comma = /[ \t]*,[ \t]*/y
const keyName = /[a-z*][a-z0-9_\-.*]*/y
const equals = /=/y
const semicolon = /; */y
const number = /-?\d{1,15}(?:\.\d{1,3})?/y
const other =
  /"(?:[ !#-[\]-~]|\\["\\])*"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*|:[A-Za-z0-9+/=]*:|@-?\d{1,15}|%"[ !#-~]*"|\?[01]/y

const take = (input: Input, pattern: RegExp): string | undefined => {
  pattern.lastIndex = input.at
  const found = pattern.exec(input.text)?.[0]
  if (found !== undefined) input.at += found.length
  return found
}

const bareItem = (input: Input): BareItem | undefined => {
  const digits = take(input, number)
  return digits === undefined ? take(input, other) : Number(digits)
}

/** What stands after a key: a value, or nothing at all for true. */
const valueOf = (input: Input): BareItem | undefined => (take(input, equals) === undefined ? "?1" : bareItem(input))

const member = (input: Input): Member | undefined => {
  const start = input.at
  const key = take(input, keyName)
  // a key and a token look alike up to the equals sign
  const keyed = key !== undefined && input.text[input.at] === "="
  if (!keyed) input.at = start
  const value = keyed ? valueOf(input) : bareItem(input)
  if (value === undefined) return undefined
  const params: Record<string, BareItem> = Object.create(null)
  while (take(input, semicolon) !== undefined) {
    const name = take(input, keyName)
    const param = name === undefined ? undefined : valueOf(input)
    if (name === undefined || param === undefined) return undefined
    params[name] = param
  }
  return { key: keyed ? key : undefined, value, params }
}
