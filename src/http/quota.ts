/**
 * What servers say of the quotas of a client: how much of a window remains, and when it starts anew. Only a window that is spent asks
 * for patience, and of several the one that takes longest.
 */
import type { Headers } from "effect/http/Headers"
import { decimal, fieldOf, quotaReset } from "./grammar.ts"
import { parse } from "./structuredField.ts"

/** How long until no window is spent, in milliseconds; `undefined` where none is. */
export const spentFor = (headers: Headers, nowMillis: number): number | undefined => {
  let longest: number | undefined
  for (const waits of [ofRateLimit(fieldOf(headers, "ratelimit")), ofPairs(headers, nowMillis)]) {
    for (const wait of waits) longest = Math.max(longest ?? wait, wait)
  }
  return longest
}

/**
 * The `RateLimit` field, whose form has changed from draft to draft (draft-ietf-httpapi-ratelimit-headers; express-rate-limit sends
 * both): a List of policies, `"default";r=0;t=30`, or in drafts up to 08 a Dictionary, `limit=100, remaining=0, reset=30`.
 * Seconds from now on, as whole numbers.
 */
function* ofRateLimit(text: string | undefined): Generator<number> {
  const members = (text === undefined ? undefined : parse(text)) ?? []
  if (members.every(({ key }) => key === undefined)) {
    for (const { params } of members) if (params["r"] === 0 && isSeconds(params["t"])) yield params["t"] * 1000
  } else if (members.every(({ key }) => key !== undefined)) {
    const values = Object.fromEntries(members.map(({ key, value }) => [key, value]))
    const { remaining = 0, reset } = values
    if (remaining === 0 && isSeconds(reset)) yield reset * 1000
  }
}

const isSeconds = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0

const resetName = /^(?:(?:x-)?ratelimit-reset(?:-[\w-]+)?|anthropic-ratelimit-[\w-]+-reset)$/

/**
 * One field for what remains and one for the reset: `RateLimit-Reset` of the drafts up to 06, `X-RateLimit-Reset`, and the one of each
 * kind of quota that model vendors have, such as `x-ratelimit-reset-tokens` and `anthropic-ratelimit-input-tokens-reset`.
 */
function* ofPairs(headers: Headers, nowMillis: number): Generator<number> {
  for (const name of Object.keys(headers)) {
    if (!resetName.test(name)) continue
    // what remains is optional in the drafts, and only there
    const remaining = fieldOf(headers, name.replace("reset", "remaining")) ?? (name === "ratelimit-reset" ? "0" : "")
    const reset = fieldOf(headers, name)?.trim() ?? ""
    const wait = decimal(remaining.trim()) === 0 ? quotaReset(reset, nowMillis) : undefined
    if (wait !== undefined) yield wait
  }
}
