/**
 * The mark of a response by which a middleware of this library turned a request away before its handler began. A status cannot tell: a
 * handler answers 429, 503 and 504, too, when it has done half of its work.
 */
import type { HttpServerResponse } from "effect/http/HttpServerResponse"

const marked = new WeakSet<HttpServerResponse>()

export const turnedAway = (response: HttpServerResponse): HttpServerResponse => {
  marked.add(response)
  return response
}

/** Whoever makes another response of it loses the mark, so that one which is not marked may still have had no effect. */
export const isTurnedAway = (response: HttpServerResponse): boolean => marked.has(response)
