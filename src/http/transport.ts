/**
 * What a failed transport means, by the error that the host gave: undici (and with it Node's `fetch`), `node:http`, browsers. Such an
 * error is a chain of causes, and what it means is said by a code, a system call, a name or a message somewhere in it.
 */

/**
 * - `not sent`: no connection came about, so that nothing was sent; or the server refused the stream unprocessed
 * - `lost`: the connection or the patience ended, and the request may have been received
 * - `tls`: no secure connection can be made
 * - `client`: the request, or what the caller has done with it, is at fault; the server was not asked
 * - `oversized`: the response is larger than this client takes
 */
export type Meaning = "not sent" | "lost" | "tls" | "client" | "oversized"

interface Row {
  readonly meaning: Meaning
  readonly code?: RegExp
  readonly syscall?: RegExp
  readonly name?: RegExp
  readonly message?: RegExp
}

/** The first row of which everything fits counts. All codes are of Node, but for those that begin with UND_ERR, of undici. */
const rows: ReadonlyArray<Row> = [
  // before a connection is there. A host is also found unreachable by one that was, so that only the system call tells
  { meaning: "not sent", syscall: /^(connect|getaddrinfo|query\w*)$/ },
  { meaning: "not sent", code: /^(ECONNREFUSED|ENOTFOUND|EAI_\w+|ConnectionRefused)$/ }, // the last is Bun's
  { meaning: "not sent", code: /^(UND_ERR_CONNECT_TIMEOUT|ERR_SOCKET_CONNECTION_TIMEOUT|ERR_TLS_HANDSHAKE_TIMEOUT)$/ },
  { meaning: "not sent", code: /^ECONNRESET$/, message: /before secure TLS connection was established/ },
  // RFC 9113 §8.7: "the stream is being closed prior to any processing having occurred"
  { meaning: "not sent", code: /^ERR_HTTP2_/, message: /NGHTTP2_REFUSED_STREAM/ },

  // certificates, by the names that OpenSSL has for what is wrong with them, and handshakes
  { meaning: "tls", code: /^(ERR_TLS_|ERR_SSL_|CERT_|CRL_|UNABLE_TO_|ERROR_IN_C|UND_ERR_PRX_TLS$|EPROTO$)/ },
  { meaning: "tls", code: /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|HOSTNAME_MISMATCH)$/ },
  { meaning: "tls", code: /^(INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED)$/ },

  { meaning: "client", code: /^(ERR_INVALID_\w+|ERR_UNESCAPED_CHARACTERS|ERR_HTTP_INVALID_\w+)$/ },
  { meaning: "client", code: /^UND_ERR_(INVALID_\w+|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH|CLOSED|DESTROYED)$/ },
  { meaning: "client", name: /^AbortError$/ },
  // why undici's fetch does not even try, or does not go on
  { meaning: "client", message: /^(unknown scheme|bad port|invalid method|URL scheme must be a HTTP\(S\) scheme)$/ },
  { meaning: "client", message: /^(redirect count exceeded|unexpected redirect|cors failure|blocked)$/ },

  { meaning: "oversized", code: /^(UND_ERR_HEADERS_OVERFLOW|HPE_HEADER_OVERFLOW|UND_ERR_RES_EXCEEDED_MAX_SIZE)$/ },

  { meaning: "lost", code: /^(ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|ENETDOWN|ENETUNREACH|EHOSTDOWN|EHOSTUNREACH)$/ },
  { meaning: "lost", code: /^UND_ERR_\w+$/ },
  { meaning: "lost", code: /^(ERR_HTTP2_\w+|HPE_\w+|ERR_STREAM_PREMATURE_CLOSE)$/ },
  // a compressed body that ends too early
  { meaning: "lost", code: /^Z_BUF_ERROR$/ },
  { meaning: "lost", name: /^(TimeoutError|HTTPParserError)$/ },
  // a fetch that tells nothing more: browsers, Deno, Bun, Cloudflare, React Native. That of undici has a cause
  { meaning: "lost", name: /^TypeError$/, message: /^(Failed to fetch|Load failed|NetworkError when|network error)/ },
  {
    meaning: "lost",
    name: /^TypeError$/,
    message: /^(The Internet connection appears|A network error|error sending)/i
  },
  { meaning: "lost", name: /^TypeError$/, message: /^(Network connection lost|Network request failed)/ }
]

/** What a link of the chain says, as text. */
const textOf = (link: object, property: string): string => {
  const value = Reflect.get(link, property)
  return typeof value === "string" ? value : ""
}

const fits = (row: Row, link: object): boolean =>
  (row.code?.test(textOf(link, "code")) ?? true) &&
  (row.syscall?.test(textOf(link, "syscall")) ?? true) &&
  (row.name?.test(textOf(link, "name")) ?? true) &&
  (row.message?.test(textOf(link, "message").trim()) ?? true)

/** A chain of causes may be a circle. */
const longestChain = 8

/** What an error or the first of its causes says that says anything; `undefined` where none does. */
export const meaningOf = (error: unknown): Meaning | undefined => {
  for (let link = error, i = 0; isObject(link) && i < longestChain; link = Reflect.get(link, "cause"), i++) {
    const found = meaningOfAll(link) ?? rows.find((row) => fits(row, link as object))?.meaning
    if (found !== undefined) return found
  }
  return undefined
}

/** A TypeError about which the table says nothing: fetch was given something that it does not take. */
export const isMisuse = (error: unknown): boolean =>
  isObject(error) &&
  textOf(error, "name") === "TypeError" &&
  !/^(fetch failed|terminated)$/.test(textOf(error, "message"))

/** Several attempts to connect, one for each address (RFC 8305): they agree, or something may have been sent. */
const meaningOfAll = (link: object): Meaning | undefined => {
  const errors: unknown = Reflect.get(link, "errors")
  if (!Array.isArray(errors) || errors.length === 0) return undefined
  const meanings = new Set(
    errors.map((each) => (isObject(each) ? rows.find((row) => fits(row, each))?.meaning : undefined))
  )
  return meanings.size === 1 ? [...meanings][0] : "lost"
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null
