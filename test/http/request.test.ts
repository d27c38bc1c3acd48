import { assert, describe, it } from "@effect/vitest"
import { Stream } from "effect"
import { HttpBody, HttpClientRequest } from "effect/http"
import { Readable } from "node:stream"
import * as Http from "../../src/http/index.ts"
import { origins } from "../../src/http/request.ts"

describe("isIdempotentMethod", () => {
  it("by method, whose case matters", () => {
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"]) {
      assert.isTrue(Http.isIdempotentMethod(method), method)
      assert.isFalse(Http.isIdempotentMethod(method.toLowerCase()), method)
    }
    for (const method of ["POST", "PATCH", "CONNECT", "PURGE", "", "constructor"]) {
      assert.isFalse(Http.isIdempotentMethod(method), method)
    }
  })
})

describe("canReplay", () => {
  const bytes = new TextEncoder().encode("body")

  it("what is held in memory can be sent again", () => {
    for (const body of [
      HttpBody.empty,
      HttpBody.text("body"),
      HttpBody.uint8Array(bytes),
      HttpBody.jsonUnsafe({ a: 1 }),
      HttpBody.urlParams({ a: "1" }),
      HttpBody.formData(new FormData()),
      HttpBody.raw("body"),
      HttpBody.raw(undefined),
      HttpBody.raw(null),
      HttpBody.raw(bytes),
      HttpBody.raw(new DataView(bytes.buffer)),
      HttpBody.raw(bytes.buffer),
      HttpBody.raw(new Blob(["body"])),
      HttpBody.raw(new File(["body"], "name")),
      HttpBody.raw(new FormData()),
      HttpBody.raw(new URLSearchParams("a=1"))
    ]) {
      assert.deepStrictEqual(Http.canReplay(body), { replayable: true })
    }
  })

  it("a stream cannot, and the reason says so", () => {
    const once = (body: HttpBody.HttpBody) => {
      const replay = Http.canReplay(body)
      assert.isFalse(replay.replayable)
      return replay.replayable ? "" : replay.reason
    }
    assert.match(
      once(HttpBody.stream(Stream.make(bytes))),
      /^its body is a stream, which may have been consumed: send bytes/
    )
    assert.match(once(HttpBody.raw(new ReadableStream())), /^its body is of class ReadableStream,/)
    assert.match(once(HttpBody.raw(Readable.from(["body"]))), /^its body is an object that may be a stream,/)
    assert.match(once(HttpBody.raw((function* () {})())), /^its body is of class Generator,/)
    assert.match(
      once(HttpBody.raw({ [Symbol.asyncIterator]: () => ({}) })),
      /^its body is an object that may be a stream,/
    )
    once(HttpBody.raw(() => "body"))
  })
})

describe("originOf", () => {
  const origin = (url: string | URL) => Http.originOf(HttpClientRequest.get(url))

  it("is scheme, host and port, and nothing else", () => {
    assert.strictEqual(origin("https://quotes.example/eur?a=1#b"), "https://quotes.example")
    assert.strictEqual(origin("https://quotes.example:443/"), "https://quotes.example")
    assert.strictEqual(origin("http://quotes.example:8080"), "http://quotes.example:8080")
    assert.strictEqual(origin("https://user:secret@QUOTES.example/x"), "https://quotes.example")
    assert.strictEqual(origin(new URL("http://[::1]:80/x")), "http://[::1]")
  })

  it("a scheme of its own keeps its host", () => {
    assert.strictEqual(origin("grpc://quotes.example:50051/x"), "grpc://quotes.example:50051")
  })

  it("relative ones share one key", () => {
    assert.strictEqual(origin("/eur/1"), "relative")
    assert.strictEqual(origin("/eur/2"), "relative")
    assert.strictEqual(origin(""), "relative")
  })
})

describe("origins", () => {
  it("is originOf, whatever was asked before", () => {
    const originOf = origins()
    const urls = [
      "http://quotes.example",
      "http://quotes.example/eur",
      "http://quotes.example.evil/eur",
      "http://quotes.example:8080/eur",
      "http://quotes.example?a",
      "http://quotes.example#a",
      "http://quotes.example\\a",
      "http://quotes.example@evil/eur",
      "http://quotes",
      "https://quotes.example/eur",
      "http://",
      "/eur",
      "",
      "grpc://quotes.example:50051/x"
    ]
    for (const first of urls) {
      for (const second of urls) {
        for (const url of [first, second, second]) {
          const request = HttpClientRequest.get(url)
          assert.strictEqual(originOf(request), Http.originOf(request), `${url} after ${first}`)
        }
      }
    }
  })
})
