/**
 * The grammar of the `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header), and what makes two requests the same.
 */
import * as Effect from "effect/Effect"
import { WebCrypto } from "effect/crypto/WebCrypto"
import * as Hex from "effect/encoding/Hex"
import * as HttpBody from "effect/http/HttpBody"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { withoutBoundary } from "./formData.ts"

/** As long as Stripe allows; a UUID has 36. */
const longest = 255

/** An RFC 9651 String; and then what Stripe and its like send: the same without quotes, spaces and backslashes. */
const quoted = /^"((?:[ !#-[\]-~]|\\["\\])*)"$/
const bare = /^[!#-[\]-~]+$/

/**
 * The key that a header says: a Structured-Field String, as the draft has it, or bare. Both mean the same, so that a client may change
 * from one to the other. `undefined` for what is malformed, empty or too long.
 */
export const parseKey = (text: string): string | undefined => {
  const trimmed = text.trim()
  const key = quoted.exec(trimmed)?.[1]?.replace(/\\(["\\])/g, "$1") ?? bare.exec(trimmed)?.[0]
  return key === undefined || key === "" || key.length > longest ? undefined : key
}

/** Without the origin: a server has several names. */
const pathOf = (url: string): string => url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "")

/**
 * The headers in which callers say who they are, or a proxy says whom it has let through: RFC 9110 §11, RFC 6265, RFC 9440, and what
 * gateways and clouds have made common.
 */
export const credentialHeaders: ReadonlyArray<string> = [
  "authorization",
  "proxy-authorization",
  "cookie",
  "api-key",
  "apikey",
  "x-api-key",
  "x-goog-api-key",
  "ocp-apim-subscription-key",
  "x-access-token",
  "x-auth-token",
  "x-session-token",
  "client-cert",
  "x-forwarded-client-cert",
  "x-forwarded-user",
  "x-remote-user"
]

/** What of it a request has, in the order above. */
const credentialsOf = ({ headers }: HttpServerRequest): ReadonlyArray<readonly [name: string, value: string]> =>
  credentialHeaders.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]] as const]))

const sha256 = (bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Effect.Effect<string> =>
  Effect.flatMap(WebCrypto, (web) =>
    Effect.promise(async () => Hex.encode(new Uint8Array(await web.subtle.digest("SHA-256", bytes))))
  )

/** Written as JSON, so that no two lists of parts make the same text. */
const sha256OfParts = (parts: ReadonlyArray<unknown>): Effect.Effect<string> =>
  sha256(new Uint8Array(HttpBody.text(JSON.stringify(parts)).body))

/** SHA-256 of the credentials; "" without any. */
export const callerBy = (request: HttpServerRequest): Effect.Effect<string> => {
  const credentials = credentialsOf(request)
  return credentials.length === 0 ? Effect.succeed("") : sha256OfParts(credentials)
}

/**
 * SHA-256 of the method, the path with its query, who calls, and the body: of two requests with the same, one is the other sent
 * again. A form counts without its boundary. The body goes in by its own digest, so that it need not be copied.
 */
export const fingerprint = (request: HttpServerRequest, caller: string, body: ArrayBuffer): Effect.Effect<string> =>
  Effect.suspend(() => {
    const form = withoutBoundary(request.headers["content-type"], new Uint8Array(body))
    return Effect.flatMap(sha256(form?.content ?? body), (digest) =>
      sha256OfParts([request.method, pathOf(request.originalUrl), caller, form?.lengths ?? null, digest])
    )
  })
