import { request as send } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { ByteSize, Effect, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { idempotency } from "../../src/http/idempotency.ts"
import type { IdempotencyOptions } from "../../src/http/idempotency.ts"
import { IdempotencyStore } from "../../src/http/idempotencyStore.ts"
import { ask, serving } from "./serverKit.ts"

const memory = IdempotencyStore.layerMemory()

const echoLength = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  return HttpServerResponse.text(String((yield* request.arrayBuffer).byteLength))
})

describe("how large the body of a request with a key may be", () => {
  const cases: ReadonlyArray<
    readonly [what: string, options: IdempotencyOptions, inForce: number | undefined, largest: number]
  > = [
    ["by default", {}, undefined, 1024 * 1024],
    ["by MaxBodySize, which may be less", {}, 10, 10],
    ["by MaxBodySize, which may be more", {}, 2 * 1024 * 1024, 2 * 1024 * 1024],
    ["by the option", { maxRequestBytes: 5 }, undefined, 5],
    ["by the option, which counts for more", { maxRequestBytes: 20 }, 10, 20],
    ["by an option that is undefined", { maxRequestBytes: undefined }, undefined, 1024 * 1024],
    ["nothing", { maxRequestBytes: 0 }, undefined, 0]
  ]
  for (const [what, options, inForce, largest] of cases) {
    it.effect(what, () =>
      Effect.gen(function* () {
        const once = idempotency(options)(echoLength)
        const post = (length: number) =>
          ask(once, { method: "POST", headers: { "idempotency-key": "k" }, body: "x".repeat(length) }).pipe(
            Effect.provideService(
              HttpIncomingMessage.MaxBodySize,
              inForce === undefined ? undefined : ByteSize.bytes(inForce)
            )
          )
        const refused = yield* post(largest + 1)
        assert.deepStrictEqual([refused.status, refused.type], [413, "urn:effect-resilience:request-too-large"])
        // no key has been taken
        const taken = yield* post(largest)
        assert.deepStrictEqual([taken.status, taken.text], [200, String(largest)])
      }).pipe(Effect.provide(memory))
    )
  }

  it.live("a body that is too large is refused before it is there, whether it says its length or not", () =>
    Effect.gen(function* () {
      const built = yield* Layer.build(memory)
      const url = yield* serving(HttpRouter.add("POST", "/", Effect.provideContext(idempotency()(echoLength), built)))
      const post = (headers: Record<string, string>, chunks: number) =>
        Effect.callback<string>((resume) => {
          const request = send(
            url,
            { method: "POST", agent: false, headers: { "idempotency-key": "k", ...headers } },
            (response) => {
              resume(Effect.succeed(`${response.statusCode} ${response.headers["content-type"]}`))
              response.resume()
              request.destroy()
            }
          )
          // the server closes the connection of whom it does not read any further
          request.on("error", () => undefined)
          request.flushHeaders()
          for (let i = 0; i < chunks; i++) request.write(Buffer.alloc(64 * 1024))
          return Effect.sync(() => request.destroy())
        })
      // neither of them is ever complete
      assert.strictEqual(yield* post({ "content-length": "300000000" }, 0), "413 application/problem+json")
      assert.strictEqual(yield* post({ "content-length": "300000000" }, 20), "413 application/problem+json")
      assert.strictEqual(yield* post({}, 20), "413 application/problem+json")
    }).pipe(Effect.scoped)
  )
})
