import { assert, describe, it } from "@effect/vitest"
import { isMisuse, meaningOf, type Meaning } from "../../src/http/transport.ts"

const host = (fields: object, message = "x"): Error => Object.assign(new Error(message), fields)

const coded = (code: string) => host({ code })

const typeError = (message: string, cause?: unknown) => Object.assign(new TypeError(message), { cause })

const codes: Readonly<Record<Meaning, ReadonlyArray<string>>> = {
  "not sent": [
    "ECONNREFUSED",
    "ENOTFOUND",
    "EAI_AGAIN",
    "EAI_FAIL",
    "UND_ERR_CONNECT_TIMEOUT",
    "ERR_SOCKET_CONNECTION_TIMEOUT",
    "ERR_TLS_HANDSHAKE_TIMEOUT",
    "ConnectionRefused"
  ],
  lost: [
    "ECONNRESET",
    "ECONNABORTED",
    "EPIPE",
    "ETIMEDOUT",
    "ENETDOWN",
    "ENETUNREACH",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "UND_ERR_SOCKET",
    "UND_ERR_HEADERS_TIMEOUT",
    "UND_ERR_BODY_TIMEOUT",
    "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
    "UND_ERR_INFO",
    "UND_ERR_ABORTED",
    "HPE_INVALID_CONSTANT",
    "HPE_INVALID_EOF_STATE",
    "ERR_HTTP2_STREAM_ERROR",
    "ERR_HTTP2_GOAWAY_SESSION",
    "ERR_STREAM_PREMATURE_CLOSE",
    "Z_BUF_ERROR"
  ],
  tls: [
    "CERT_HAS_EXPIRED",
    "CERT_NOT_YET_VALID",
    "CERT_REVOKED",
    "CRL_HAS_EXPIRED",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "ERROR_IN_CERT_NOT_AFTER_FIELD",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "ERR_SSL_WRONG_VERSION_NUMBER",
    "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
    "UND_ERR_PRX_TLS",
    "EPROTO",
    "HOSTNAME_MISMATCH",
    "INVALID_CA",
    "INVALID_PURPOSE",
    "PATH_LENGTH_EXCEEDED"
  ],
  client: [
    "ERR_INVALID_URL",
    "ERR_INVALID_PROTOCOL",
    "ERR_INVALID_CHAR",
    "ERR_INVALID_ARG_TYPE",
    "ERR_UNESCAPED_CHARACTERS",
    "ERR_HTTP_INVALID_HEADER_VALUE",
    "UND_ERR_INVALID_ARG",
    "UND_ERR_NOT_SUPPORTED",
    "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH",
    "UND_ERR_CLOSED",
    "UND_ERR_DESTROYED"
  ],
  oversized: ["UND_ERR_HEADERS_OVERFLOW", "HPE_HEADER_OVERFLOW", "UND_ERR_RES_EXCEEDED_MAX_SIZE"]
}

describe("meaningOf", () => {
  for (const [meaning, list] of Object.entries(codes)) {
    it(`codes: ${meaning}`, () => {
      for (const code of list) {
        assert.strictEqual(meaningOf(coded(code)), meaning, code)
        // as fetch gives it
        assert.strictEqual(meaningOf(typeError("fetch failed", coded(code))), meaning, code)
        // a code that only contains it
        for (const other of [`X${code}`, `${code}!`]) {
          const found = meaningOf(coded(other))
          assert.isTrue(found === undefined || /^(CERT_|CRL_|UNABLE_|ERR_TLS_|ERR_SSL_|ERROR_IN_C)/.test(other), other)
        }
      }
    })
  }

  it("while connecting, whatever the code", () => {
    for (const code of [
      "ECONNRESET",
      "ETIMEDOUT",
      "EHOSTUNREACH",
      "ENETUNREACH",
      "EADDRNOTAVAIL",
      "EMFILE",
      "ENOENT"
    ]) {
      assert.strictEqual(meaningOf(host({ code, syscall: "connect" })), "not sent", code)
    }
    for (const syscall of ["getaddrinfo", "queryA", "queryAaaa"]) {
      assert.strictEqual(meaningOf(host({ code: "ESERVFAIL", syscall })), "not sent", syscall)
    }
    // once it was there
    for (const syscall of ["read", "write", "shutdown", "reconnect", "connected"]) {
      assert.strictEqual(meaningOf(host({ code: "ETIMEDOUT", syscall })), "lost", syscall)
    }
    assert.strictEqual(meaningOf(host({ code: "EPROTO", syscall: "write" })), "tls")
  })

  it("a connection that ended within the TLS handshake", () => {
    const message = "Client network socket disconnected before secure TLS connection was established"
    assert.strictEqual(meaningOf(host({ code: "ECONNRESET" }, message)), "not sent")
    assert.strictEqual(meaningOf(host({ code: "ECONNRESET" }, "socket hang up")), "lost")
    assert.isUndefined(meaningOf(host({}, message)))
  })

  it("a stream that an HTTP/2 server refused", () => {
    const stream = (reason: string) =>
      meaningOf(host({ code: "ERR_HTTP2_STREAM_ERROR" }, `Stream closed with error code ${reason}`))
    assert.strictEqual(stream("NGHTTP2_REFUSED_STREAM"), "not sent")
    assert.strictEqual(stream("NGHTTP2_INTERNAL_ERROR"), "lost")
    assert.isUndefined(meaningOf(host({}, "NGHTTP2_REFUSED_STREAM")))
  })

  it("names", () => {
    assert.strictEqual(meaningOf(host({ name: "AbortError" })), "client")
    assert.strictEqual(meaningOf(new DOMException("This operation was aborted", "AbortError")), "client")
    assert.strictEqual(meaningOf(new DOMException("The operation timed out", "TimeoutError")), "lost")
    assert.strictEqual(meaningOf(host({ name: "HTTPParserError" })), "lost")
  })

  it("why undici's fetch does not even try, or does not go on", () => {
    for (const why of [
      "unknown scheme",
      "bad port",
      "invalid method",
      "URL scheme must be a HTTP(S) scheme",
      "redirect count exceeded",
      "unexpected redirect",
      "cors failure",
      "blocked"
    ]) {
      assert.strictEqual(meaningOf(typeError("fetch failed", new Error(why))), "client", why)
      assert.isUndefined(meaningOf(new Error(`${why}?`)), why)
      assert.isUndefined(meaningOf(new Error(`not ${why}`)), why)
    }
  })

  it("the TypeError with which a fetch tells nothing more", () => {
    for (const message of [
      "Failed to fetch",
      "Failed to fetch (quotes.example)",
      "Load failed",
      "NetworkError when attempting to fetch resource.",
      "network error",
      "The Internet connection appears to be offline.",
      " A network error occurred.",
      "error sending request for url (http://quotes.example/): connection error",
      "Network connection lost.",
      "Network request failed"
    ]) {
      assert.strictEqual(meaningOf(new TypeError(message)), "lost", message)
      assert.isFalse(isMisuse(new Error(message)), message)
      // no other error has such a meaning
      assert.isUndefined(meaningOf(new RangeError(message)), message)
    }
  })

  it("several addresses: what they agree on", () => {
    const several = (...errors: ReadonlyArray<unknown>) =>
      meaningOf(Object.assign(new AggregateError(errors), { code: "ECONNREFUSED" }))
    const refused = host({ code: "ECONNREFUSED", syscall: "connect" })
    const timedOut = host({ code: "ETIMEDOUT", syscall: "connect" })
    assert.strictEqual(several(refused, refused), "not sent")
    assert.strictEqual(several(refused, timedOut), "not sent")
    assert.strictEqual(several(refused, coded("ECONNRESET")), "lost")
    assert.strictEqual(several(refused, coded("CERT_HAS_EXPIRED")), "lost")
    assert.strictEqual(several(refused, new Error("?")), "lost")
    assert.strictEqual(several(refused, "?"), "lost")
    assert.strictEqual(several(coded("CERT_HAS_EXPIRED")), "tls")
    // nothing in them that is known, or nothing in them: what it says itself
    assert.strictEqual(several(), "not sent")
    assert.strictEqual(several(new Error("?"), undefined), "not sent")
    assert.strictEqual(meaningOf(host({ code: "ECONNREFUSED", errors: "none" })), "not sent")
    assert.strictEqual(meaningOf(typeError("fetch failed", new AggregateError([refused]))), "not sent")
  })

  it("the first link of the chain that says anything", () => {
    assert.strictEqual(meaningOf(host({ code: "ECONNRESET", cause: coded("ECONNREFUSED") })), "lost")
    assert.strictEqual(meaningOf(host({ code: "EWHATEVER", cause: coded("ECONNREFUSED") })), "not sent")
    assert.strictEqual(meaningOf({ cause: { cause: { code: "EPIPE" } } }), "lost")
    assert.isUndefined(meaningOf(host({ cause: "ECONNREFUSED" })))
  })

  it("a chain that is a circle ends, and so does one that is too long", () => {
    const circle = host({})
    circle.cause = circle
    assert.isUndefined(meaningOf(circle))
    let deep: unknown = coded("ECONNREFUSED")
    for (let i = 0; i < 7; i++) deep = { cause: deep }
    assert.strictEqual(meaningOf(deep), "not sent")
    assert.isUndefined(meaningOf({ cause: deep }))
  })

  it("what says nothing", () => {
    for (const error of [
      undefined,
      null,
      "ECONNREFUSED",
      5,
      () => {},
      {},
      [],
      Object.create(null),
      { code: 5 },
      { code: null, syscall: undefined, name: {}, message: [] },
      new Error("ECONNREFUSED"),
      coded(""),
      coded("EWHATEVER"),
      new SyntaxError("Unexpected token"),
      new TypeError("fetch failed")
    ]) {
      assert.isUndefined(meaningOf(error))
    }
  })
})

describe("isMisuse", () => {
  it("a TypeError about which the table says nothing", () => {
    assert.isTrue(isMisuse(new TypeError("Request with GET/HEAD method cannot have body.")))
    assert.isTrue(isMisuse(new TypeError('Headers.append: "a\nb" is an invalid header value.')))
    assert.isFalse(isMisuse(new TypeError("fetch failed")))
    assert.isFalse(isMisuse(new TypeError("terminated")))
    for (const error of [undefined, null, "TypeError", new Error("x"), { name: "Error" }])
      assert.isFalse(isMisuse(error))
  })
})
