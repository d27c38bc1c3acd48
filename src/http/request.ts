/**
 * What can be said of a request before it is sent again: whether its method allows it, whether its body can be sent twice, and which
 * server it goes to.
 *
 * @since 0.1.0
 */
import type { HttpBody } from "effect/http/HttpBody"
import { toUrl } from "effect/http/HttpClientRequest"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"

const idempotent: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"])

/**
 * Whether a request of this method may be sent twice with the effect of once: GET, HEAD, OPTIONS and TRACE, which are safe, PUT and
 * DELETE (RFC 9110 §9.2.2), and QUERY, which is safe too (draft-ietf-httpbis-safe-method-w-body). Methods are case-sensitive.
 *
 * @since 0.1.0
 * @category requests
 */
export const isIdempotentMethod = (method: string): boolean => idempotent.has(method)

/**
 * Whether a body can be sent again, and if not, why.
 *
 * @since 0.1.0
 * @category models
 */
export type Replay = { readonly replayable: true } | { readonly replayable: false; readonly reason: string }

const replayable: Replay = { replayable: true }

const once = (what: string): Replay => ({
  replayable: false,
  reason: `its body is ${what}, which may have been consumed: send bytes, a string, a Blob or FormData to make it replayable`
})

/** By `Object.prototype.toString`, so that it does not matter where their classes come from. */
const held = new Set(["Blob", "File", "FormData", "URLSearchParams", "ArrayBuffer", "SharedArrayBuffer"])

/**
 * Whether the body of a request can be sent again. Bytes, text, forms, blobs and no body at all can. A stream cannot: one that
 * has been consumed sends nothing the second time, or its second half, and the server takes that for the whole. That includes
 * an Effect `Stream`, which starts anew at each run, but may draw from a source that does not.
 *
 * A `FormData` is encoded anew each time, with another boundary between its parts: the same form in other bytes. To encode it once would take
 * all of its files into memory. `Http.idempotency` knows it again; for a server that compares the bytes of a key's requests, encode it yourself
 * and send the bytes, with their content type.
 *
 * @since 0.1.0
 * @category requests
 */
export const canReplay = (body: HttpBody): Replay => {
  switch (body._tag) {
    case "Empty":
    case "Uint8Array":
    case "FormData":
      return replayable
    case "Stream":
      return once("a stream")
    case "Raw":
      return isHeld(body.body) ? replayable : once(nameOf(body.body))
  }
}

const isHeld = (body: unknown): boolean =>
  body === undefined || body === null || typeof body === "string" || ArrayBuffer.isView(body) || held.has(classOf(body))

const classOf = (body: unknown): string => Object.prototype.toString.call(body).slice("[object ".length, -1)

const nameOf = (body: unknown): string => {
  const name = classOf(body)
  return name === "Object" ? "an object that may be a stream" : `of class ${name}`
}

/**
 * The origin that a request goes to, such as "https://quotes.example:8443", for breakers and budgets that are kept by
 * origin. A URL that is relative here, because its base is put before it further in, gives "relative".
 *
 * @since 0.1.0
 * @category requests
 */
export const originOf = (request: HttpClientRequest): string =>
  Option.match(toUrl(request), {
    onNone: () => "relative",
    // the origin of a scheme that the URL standard does not know is "null"
    onSome: (url) => (url.origin === "null" ? `${url.protocol}//${url.host}` : url.origin)
  })

const originsKept = 1_000

/** {@link originOf}, which remembers the origins it has seen: to parse a URL costs more than all the rest of a call. */
export const origins = (): ((request: HttpClientRequest) => string) => {
  const seen = new Map<string, string>()
  // most clients talk to one server, and to compare costs less than to look it up
  let lastStart = ""
  let lastOrigin = ""
  return (request) => {
    const { url } = request
    if (lastStart !== "" && url.startsWith(lastStart) && endsAuthority(url, lastStart.length)) return lastOrigin
    const start = schemeAndAuthority(url)
    let origin = seen.get(start)
    if (origin === undefined) {
      origin = originOf(request)
      if (start === "") return origin
      if (seen.size === originsKept) seen.clear()
      seen.set(start, origin)
    }
    lastStart = start
    lastOrigin = origin
    return origin
  }
}

/** All that the origin of an absolute URL depends on; "" of any other. Without a regular expression, which would cost as much again. */
const schemeAndAuthority = (url: string): string => {
  const scheme = url.startsWith("https://") ? 8 : url.startsWith("http://") ? 7 : 0
  if (scheme === 0) return ""
  let end = scheme
  while (!endsAuthority(url, end)) end++
  return url.slice(0, end)
}

/** Whether the authority is over at this place: the URL is, or there is one of `/`, `?`, `#` and `\\`. */
const endsAuthority = (url: string, at: number): boolean => {
  if (at >= url.length) return true
  const code = url.charCodeAt(at)
  return code === 47 || code === 63 || code === 35 || code === 92
}
