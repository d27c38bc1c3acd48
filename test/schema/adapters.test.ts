import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Arbitrary, Cause, Duration, Effect, Schema } from "effect"
import { AiError } from "effect/ai"
import { SqlError } from "effect/sql"
import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Ai from "../../src/ai/index.ts"
import { IdempotencyStoreError } from "../../src/http/index.ts"
import { CircuitBreaker, Fault, Policy } from "../../src/index.ts"
import * as Codecs from "../../src/schema/index.ts"
import * as Sql from "../../src/sql/index.ts"
import { aiError, everyReason, reasonTags } from "../ai/kit.ts"
import { holds } from "../property.ts"
import { sqlError } from "../sql/fake.ts"
import { counts, maybe, names, overTheWire, same } from "./kit.ts"

const CommitUnknown = Codecs.CommitUnknown(SqlError.SqlError)
const MalformedOutput = Codecs.MalformedOutput(AiError.AiError)

describe("CommitUnknown", () => {
  it("comes back with its SqlError, its verdict and its message", () => {
    const error = new Sql.CommitUnknown({ cause: sqlError("ConnectionError", {}, { message: "connection closed" }) })
    const { decoded, json } = overTheWire(CommitUnknown, error)
    assert.deepStrictEqual(json, {
      _tag: "CommitUnknown",
      cause: {
        _tag: "SqlError",
        reason: {
          _tag: "ConnectionError",
          message: "connection closed",
          cause: { name: "Error", message: "cause of ConnectionError" }
        }
      }
    })
    assert.instanceOf(decoded, Sql.CommitUnknown)
    assert.isTrue(SqlError.isSqlError(decoded.cause))
    assert.instanceOf(decoded.cause.reason, SqlError.ConnectionError)
    assert.strictEqual(decoded.message, error.message)
    for (const faults of [Sql.faults, Fault.auto]) {
      assert.deepStrictEqual(faults.classify(decoded), faults.classify(error))
      assert.strictEqual(faults.classify(decoded)?.kind, "transient")
    }
  })

  it("comes out of RetryExhausted as what it is", () => {
    const Failure = Codecs.RetryExhausted(Schema.Union([SqlError.SqlError, CommitUnknown]))
    const lastError = new Sql.CommitUnknown({ cause: sqlError("ConnectionError") })
    const error = new Policy.RetryExhausted<SqlError.SqlError | Sql.CommitUnknown>({
      policy: "db",
      reason: "unsafe",
      attempts: 1,
      elapsed: Duration.millis(3),
      lastError,
      history: [],
      cause: Cause.fail(lastError)
    })
    const { decoded } = overTheWire(Failure, error)
    assert.instanceOf(decoded.lastError, Sql.CommitUnknown)
    assert.strictEqual(decoded.message, error.message)
  })

  it("refuses a cause that is none of SQL", () => {
    for (const cause of [undefined, "connection closed", { _tag: "SqlError", reason: { _tag: "Weather" } }]) {
      const refused = Schema.decodeUnknownExit(CommitUnknown)({ _tag: "CommitUnknown", cause })
      assert.strictEqual(refused._tag, "Failure")
    }
  })

  it.effect("any of them round-trips", () =>
    holds(
      Arbitrary.all([
        Arbitrary.schema(
          Schema.Literals(["ConnectionError", "UnknownError", "SerializationError", "UniqueViolation", "DeadlockError"])
        ),
        maybe(names),
        maybe(names)
      ]),
      ([reason, message, operation]) => {
        const known = { ...(message !== undefined && { message }), ...(operation !== undefined && { operation }) }
        const error = new Sql.CommitUnknown({ cause: sqlError(reason, {}, known) })
        const { decoded } = overTheWire(CommitUnknown, error)
        assert.strictEqual(decoded.cause.reason.constructor, error.cause.reason.constructor)
        return (
          decoded instanceof Sql.CommitUnknown &&
          same(decoded, error) &&
          same(decoded.cause, error.cause) &&
          same(decoded.cause.reason, error.cause.reason)
        )
      },
      { runs: 100 }
    )
  )

  it("has the types of its parts", () => {
    expectTypeOf<(typeof CommitUnknown)["Type"]>().toEqualTypeOf<Sql.CommitUnknown>()
    expectTypeOf<(typeof CommitUnknown)["Encoded"]>().toEqualTypeOf<
      Codecs.CommitUnknownEncoded<(typeof SqlError.SqlError)["Encoded"]>
    >()
    expectTypeOf<(typeof CommitUnknown)["DecodingServices"]>().toEqualTypeOf<never>()
  })
})

describe("MalformedOutput", () => {
  const malformed = [
    everyReason.InvalidOutputError,
    everyReason.StructuredOutputError,
    everyReason.ToolNotFoundError,
    everyReason.ToolParameterValidationError
  ]

  for (const reason of malformed) {
    it(`${reason._tag} comes back with all that a model can be told`, () => {
      const error = new Ai.MalformedOutput({ reason, cause: aiError(reason) })
      const { decoded, json } = overTheWire(MalformedOutput, error)
      assert.hasAllKeys(json, ["_tag", "cause"])
      assert.instanceOf(decoded, Ai.MalformedOutput)
      assert.isTrue(AiError.isAiError(decoded.cause))
      assert.strictEqual(decoded.reason, decoded.cause.reason)
      assert.strictEqual(decoded.reason.constructor, reason.constructor)
      assert.strictEqual(decoded.problem, error.problem)
      assert.strictEqual(decoded.answer, error.answer)
      assert.strictEqual(decoded.message, error.message)
      for (const faults of [Ai.faults, Fault.auto]) {
        assert.deepStrictEqual(faults.classify(decoded), faults.classify(error))
        assert.strictEqual(faults.classify(decoded)?.kind, "transient")
      }
    })
  }

  it("that revise has made round-trips", () => {
    const cause = aiError(everyReason.StructuredOutputError)
    const error = Effect.runSync(Effect.flip(Ai.revise(() => Effect.fail(cause))))
    assert.instanceOf(error, Ai.MalformedOutput)
    assert.strictEqual(overTheWire(MalformedOutput, error).decoded.answer, "forty")
  })

  it("refuses an error that says nothing of the output", () => {
    const others = reasonTags.filter((tag) => !malformed.some((reason) => reason._tag === tag))
    assert.isAbove(others.length, 10)
    for (const tag of others) {
      const cause = Schema.encodeSync(AiError.AiError)(aiError(everyReason[tag]))
      const refused = Schema.decodeUnknownExit(MalformedOutput)({ _tag: "MalformedOutput", cause })
      assert.strictEqual(refused._tag, "Failure", tag)
    }
  })

  it("refuses to encode a reason that would be lost, because it is not that of the cause", () => {
    const error = new Ai.MalformedOutput({
      reason: everyReason.InvalidOutputError,
      cause: aiError(everyReason.ToolNotFoundError)
    })
    assert.strictEqual(Schema.encodeUnknownExit(MalformedOutput)(error)._tag, "Failure")
  })

  it.effect("any of them round-trips", () =>
    holds(
      Arbitrary.all([names, names, counts]),
      ([description, responseText, promptTokens]) => {
        const reason = new AiError.StructuredOutputError({
          description,
          responseText,
          metadata: { openai: { id: description } },
          usage: { promptTokens }
        })
        const error = new Ai.MalformedOutput({ reason, cause: aiError(reason) })
        const { decoded } = overTheWire(MalformedOutput, error)
        return decoded instanceof Ai.MalformedOutput && same(decoded, error) && same(decoded.reason, reason)
      },
      { runs: 100 }
    )
  )

  it("has the types of its parts", () => {
    expectTypeOf<(typeof MalformedOutput)["Type"]>().toEqualTypeOf<Ai.MalformedOutput>()
    expectTypeOf<(typeof MalformedOutput)["Encoded"]>().toEqualTypeOf<
      Codecs.MalformedOutputEncoded<AiError.AiErrorEncoded>
    >()
    expectTypeOf<(typeof MalformedOutput)["DecodingServices"]>().toEqualTypeOf<never>()
  })
})

describe("IdempotencyStoreError", () => {
  const causes = {
    "an error": new RangeError("out of range"),
    "a rejection": new CircuitBreaker.CircuitOpen({
      breaker: "app/Redis",
      key: undefined,
      state: "open",
      retryAfter: Duration.seconds(5)
    }),
    "a timeout": new Policy.AttemptTimeout({ policy: "redis", attempt: 1, after: Duration.millis(50) }),
    "a text": "10 requests are running",
    null: null
  }

  for (const [name, cause] of Object.entries(causes)) {
    it(`comes back with ${name} as its cause`, () => {
      const error = new IdempotencyStoreError({ operation: "begin", cause })
      const { decoded } = overTheWire(Codecs.IdempotencyStoreError, error)
      assert.instanceOf(decoded, IdempotencyStoreError)
      assert.isTrue(Policy.isUnavailable(decoded))
      assert.strictEqual(decoded.message, error.message)
      assert.strictEqual(
        (decoded.cause as object | null)?.constructor,
        name === "an error" ? Error : cause?.constructor
      )
    })
  }

  it("leaves out a cause that is not known", () => {
    const error = new IdempotencyStoreError({ operation: "release", cause: undefined })
    const { decoded, json } = overTheWire(Codecs.IdempotencyStoreError, error)
    assert.deepStrictEqual(json, { _tag: "IdempotencyStoreError", operation: "release" })
    assert.isUndefined(decoded.cause)
    assert.strictEqual(decoded.message, error.message)
  })

  it("refuses an operation that no store has", () => {
    const refused = Schema.decodeUnknownExit(Codecs.IdempotencyStoreError)({
      _tag: "IdempotencyStoreError",
      operation: "forget",
      cause: "x"
    })
    assert.strictEqual(refused._tag, "Failure")
  })

  it.effect("any of them round-trips", () =>
    holds(
      Arbitrary.all([Arbitrary.schema(Schema.Literals(["begin", "complete", "release"])), maybe(names)]),
      ([operation, cause]) => {
        const error = new IdempotencyStoreError({ operation, cause })
        const { decoded } = overTheWire(Codecs.IdempotencyStoreError, error)
        return decoded instanceof IdempotencyStoreError && same(decoded, error)
      },
      { runs: 100 }
    )
  )
})

// -- what must hold of all codecs --------------------------------------------------------------------------------------

const src = join(import.meta.dirname, "../../src")
const read = (file: string): string => readFileSync(join(src, file), "utf8")

describe("effect-resilience/schema", () => {
  it("has a codec of every error", () => {
    const errors = globSync("**/*.ts", { cwd: src }).flatMap((file) =>
      // the examples in comments begin with a star
      [
        ...read(file).matchAll(
          /^export class (\w+)\b[^{]*? extends (?:\/\*#__PURE__\*\/ )?Data\.TaggedError\("(\w+)"\)/gm
        )
      ].map(([, name, tag]) => ({ name: name!, tag: tag! }))
    )
    assert.isAtLeast(errors.length, 12)
    assert.deepStrictEqual(
      errors.filter(({ name, tag }) => name !== tag || !(name in Codecs)),
      []
    )
  })

  it("imports nothing of Effect's HTTP, SQL or AI, in however many steps", () => {
    const seen = new Set<string>()
    const foreign: Array<string> = []
    const visit = (file: string): void => {
      if (seen.has(file)) return
      seen.add(file)
      for (const [, from] of read(file).matchAll(/^(?:import|export) (?!type )(?:[^"]*? from )?"([^"]+)"/gm)) {
        if (from!.startsWith(".")) visit(join(dirname(file), from!))
        else if (/^effect\/[a-z]/.test(from!)) foreign.push(`${file}: ${from}`)
      }
    }
    visit("schema/index.ts")
    assert.isTrue(seen.has("ai/malformedOutput.ts"))
    assert.deepStrictEqual(foreign, [])
  })
})
