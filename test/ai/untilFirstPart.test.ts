import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Data, Effect, ExecutionPlan, Exit, Queue, Stream } from "effect"
import { AiError, LanguageModel, Response } from "effect/ai"
import { TestClock } from "effect/testing"
import { chatModel } from "../../examples/21/model.ts"
import * as Ai from "../../src/ai/index.ts"
import * as Backoff from "../../src/Backoff.ts"
import * as Bulkhead from "../../src/Bulkhead.ts"
import * as Fault from "../../src/Fault.ts"
import * as Policy from "../../src/Policy.ts"
import { errorOf, throughTime } from "../kit.ts"
import { policy, reasonOf } from "./kit.ts"
import * as Provider from "./provider.ts"
import type { Reply } from "./provider.ts"

const { startProvider, throughSockets } = Provider

class Net extends Data.TaggedError("Net") {}
class Busy extends Data.TaggedError("Busy") {}

const net = Policy.make({
  name: "net",
  faults: Fault.byTag<Net>()({ Net: "transient" }),
  safety: "idempotent",
  attemptTimeout: "1 second",
  retry: Backoff.constant("100 millis").pipe(Backoff.times(2))
})

/** Goes through these streams, one an opening, and stays with the last; knows how many of them are open. */
const openings = <A>(...streams: ReadonlyArray<Stream.Stream<A, Net>>) => {
  const books = { opened: 0, open: 0, most: 0 }
  const stream = Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          books.most = Math.max(books.most, ++books.open)
          return streams[Math.min(++books.opened, streams.length) - 1]!
        }),
        () => Effect.sync(() => void books.open--)
      ),
      (it) => it
    )
  )
  return { books, stream }
}

/** What a consumer gets, and how it ends. */
const consumed = <A, E, R>(self: Stream.Stream<A, E, R>) =>
  Effect.gen(function* () {
    const got: Array<A> = []
    const exit = yield* Effect.exit(Stream.runForEach(self, (part) => Effect.sync(() => void got.push(part))))
    return { got, exit }
  })

const through = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(throughTime(self), (exit) => exit as Exit.Exit<A, never>)

const failing = Stream.fail(new Net())

describe("untilFirstPart", () => {
  it.effect("opens the stream anew until it says something, and closes what did not", () =>
    Effect.gen(function* () {
      const { books, stream } = openings(failing, Stream.never, Stream.make(1, 2))
      const { exit, got } = yield* through(consumed(Ai.untilFirstPart(stream, net)))
      assert.deepStrictEqual([exit, got], [Exit.void, [1, 2]])
      assert.deepStrictEqual(books, { opened: 3, open: 0, most: 1 })
    })
  )

  it.effect("gives up as the policy does", () =>
    Effect.gen(function* () {
      const { books, stream } = openings(failing)
      const { exit, got } = yield* through(consumed(stream.pipe(Ai.untilFirstPart(net))))
      assert.deepStrictEqual([reasonOf(exit), got], ["RetryExhausted", []])
      assert.deepStrictEqual(books, { opened: 3, open: 0, most: 1 })
    })
  )

  it.effect("after the first part, nothing is retried and no error changed", () =>
    Effect.gen(function* () {
      const { books, stream } = openings(Stream.concat(Stream.make(1, 2), failing))
      const { exit, got } = yield* through(consumed(stream.pipe(Ai.untilFirstPart(net))))
      assert.deepStrictEqual([errorOf(exit), got], [new Net(), [1, 2]])
      assert.deepStrictEqual(books, { opened: 1, open: 0, most: 1 })
    })
  )

  it.effect("each part comes as soon as it is there, however long it takes", () =>
    Effect.gen(function* () {
      const parts = yield* Queue.unbounded<number>()
      const { books, stream } = openings(Stream.fromQueue(parts))
      const got: Array<number> = []
      const taken = Stream.take(stream.pipe(Ai.untilFirstPart(net)), 3)
      yield* Effect.forkChild(Stream.runForEach(taken, (part) => Effect.sync(() => void got.push(part))))
      for (const part of [1, 2, 3]) {
        yield* Queue.offer(parts, part)
        yield* TestClock.adjust(part === 1 ? 0 : 1)
        assert.strictEqual(got.at(-1), part)
        assert.strictEqual(books.open, part === 3 ? 0 : 1)
        yield* TestClock.adjust("1 hour")
      }
    })
  )

  it.effect("a stream without parts is an empty one", () =>
    Effect.gen(function* () {
      const { books, stream } = openings<number>(Stream.empty)
      const { exit, got } = yield* through(consumed(stream.pipe(Ai.untilFirstPart(net))))
      assert.deepStrictEqual([exit, got, books.open], [Exit.void, [], 0])
    })
  )

  const ahead = [
    { type: "response-metadata" },
    { type: "reasoning-start" },
    { type: "reasoning-end" },
    { type: "tool-params-start" },
    { type: "tool-params-end" },
    { type: "text-start" },
    { type: "text-delta", delta: "" },
    { type: "text-end" }
  ]
  const delta = { type: "text-delta", delta: "x" }

  it.effect("what comes ahead of an answer is held back with it", () =>
    Effect.gen(function* () {
      const begun = Stream.flatMap(Stream.fromArray(ahead), (part) => Stream.make(part))
      const { stream } = openings(Stream.concat(begun, failing), Stream.concat(begun, Stream.make(delta)))
      const { exit, got } = yield* through(consumed(stream.pipe(Ai.untilFirstPart(net))))
      assert.deepStrictEqual([exit, got], [Exit.void, [...ahead, delta]])
      const { got: nothingElse } = yield* through(consumed(Ai.untilFirstPart(begun, net)))
      assert.deepStrictEqual(nothingElse, ahead)
    })
  )

  it.effect("a part that comes together with what is ahead of it is a first part", () =>
    Effect.gen(function* () {
      const { books, stream } = openings(Stream.concat(Stream.make(ahead[0]!, delta), failing))
      const { exit, got } = yield* through(consumed(stream.pipe(Ai.untilFirstPart(net))))
      assert.deepStrictEqual([errorOf(exit), got, books.opened], [new Net(), [ahead[0], delta], 1])
    })
  )

  /** As a provider says it where the response has begun with a 200. */
  const errorPart = (error: unknown) => Response.makePart("error", { error })
  const overloaded = errorPart({ type: "overloaded_error", message: "Overloaded" })

  it.effect("an error part ahead of an answer is a failure of the attempt, and nothing of that attempt comes out", () =>
    Effect.gen(function* () {
      for (const first of [
        Stream.make<ReadonlyArray<unknown>>(overloaded),
        Stream.make<ReadonlyArray<unknown>>(ahead[0], overloaded, delta),
        Stream.concat(Stream.make<ReadonlyArray<unknown>>(...ahead), Stream.make(overloaded))
      ]) {
        const { books, stream } = openings<unknown>(first, first, Stream.make<ReadonlyArray<unknown>>(...ahead, delta))
        const { exit, got } = yield* through(consumed(stream.pipe(Ai.untilFirstPart(policy))))
        assert.deepStrictEqual([exit, got], [Exit.void, [...ahead, delta]])
        assert.deepStrictEqual(books, { opened: 3, open: 0, most: 1 })
      }
    })
  )

  it.effect("one that passes exhausts the retries, one that does not comes out as the AiError that it is", () =>
    Effect.gen(function* () {
      const transient = openings<unknown>(Stream.make(overloaded))
      const given = errorOf((yield* through(consumed(Ai.untilFirstPart(transient.stream, policy)))).exit)
      assert.instanceOf(given, Policy.RetryExhausted)
      assert.isTrue(AiError.isAiError(given.lastError) && given.lastError.reason._tag === "InternalProviderError")
      assert.isTrue(Ai.failsOver(given))
      assert.deepStrictEqual(transient.books, { opened: 3, open: 0, most: 1 })
      const final = openings<unknown>(Stream.make(errorPart({ type: "invalid_request_error", message: "no" })))
      const { exit, got } = yield* through(consumed(Ai.untilFirstPart(final.stream, policy)))
      assert.deepStrictEqual([reasonOf(exit), got, final.books.opened], ["InvalidRequestError", [], 1])
    })
  )

  it.effect("after the first part, an error part is a part", () =>
    Effect.gen(function* () {
      for (const said of [
        Stream.make<ReadonlyArray<unknown>>(delta, overloaded),
        Stream.make<ReadonlyArray<unknown>>(delta).pipe(Stream.concat(Stream.make(overloaded)))
      ]) {
        const { books, stream } = openings<unknown>(said)
        const { exit, got } = yield* through(consumed(stream.pipe(Ai.untilFirstPart(policy))))
        assert.deepStrictEqual([exit, got, books.opened], [Exit.void, [delta, overloaded], 1])
      }
    })
  )

  it.effect("what only looks like an error part is a part", () =>
    Effect.gen(function* () {
      for (const part of [{ type: "error", error: "mine" }, undefined, null, "error"]) {
        const { stream } = openings<unknown>(Stream.make(part))
        assert.deepStrictEqual((yield* through(consumed(stream.pipe(Ai.untilFirstPart(policy))))).got, [part])
      }
    })
  )

  it.effect("an interruption of the consumer closes the stream, before the first part and after", () =>
    Effect.gen(function* () {
      for (const first of [Stream.empty, Stream.make(1)]) {
        const { books, stream } = openings(Stream.concat(first, Stream.never))
        const fiber = yield* Effect.forkChild(consumed(stream.pipe(Ai.untilFirstPart(net))))
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(books.open, 1)
        fiber.interruptUnsafe()
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(books, { opened: 1, open: 0, most: 1 })
      }
    })
  )

  it.effect("of hedged openings one goes on, the others are closed", () =>
    Effect.gen(function* () {
      const hedged = Policy.make({ name: "hedged", safety: "idempotent", hedge: { after: "10 millis", max: 2 } })
      const slow = (ms: number, part: number) =>
        Stream.concat(Stream.fromEffect(Effect.as(Effect.sleep(ms), part)), Stream.never)
      // the first two say something at one moment
      const { books, stream } = openings(slow(100, 1), slow(90, 2), slow(200, 3))
      const got: Array<number> = []
      const fiber = yield* Effect.forkChild(
        Stream.runForEach(stream.pipe(Ai.untilFirstPart(hedged)), (part) => Effect.sync(() => void got.push(part)))
      )
      yield* TestClock.adjust("100 millis")
      assert.lengthOf(got, 1)
      assert.deepStrictEqual(books, { opened: 3, open: 1, most: 3 })
      fiber.interruptUnsafe()
      yield* TestClock.adjust(0)
      assert.strictEqual(books.open, 0)
    })
  )

  it.effect("an opening that does not let itself be interrupted, and comes too late, is closed", () =>
    Effect.gen(function* () {
      const late = Stream.fromEffect(Effect.uninterruptible(Effect.as(Effect.sleep("2 seconds"), "late")))
      const { books, stream } = openings(late, Stream.make("in time"))
      const got: Array<readonly [part: string, open: number]> = []
      const noted = Stream.runForEach(stream.pipe(Ai.untilFirstPart(net)), (part) =>
        Effect.sync(() => void got.push([part, books.open]))
      )
      assert.deepStrictEqual(yield* throughTime(noted), Exit.void)
      assert.deepStrictEqual(got, [["in time", 1]])
      assert.deepStrictEqual(books, { opened: 2, open: 0, most: 1 })
    })
  )

  it.effect("a guard holds the beginning, and no more than that", () =>
    Effect.gen(function* () {
      class Slots extends Bulkhead.Service<Slots>()("test/Slots", { maxConcurrent: 1, keys: { max: 2 } }) {}
      const guarded = Policy.make({ name: "guarded", guards: [Slots] })
      yield* Effect.gen(function* () {
        const endless = Stream.concat(Stream.make(1), Stream.never).pipe(Ai.untilFirstPart(guarded, { key: "a" }))
        yield* Effect.forkChild(Stream.runDrain(endless))
        yield* Effect.forkChild(Stream.runDrain(Ai.untilFirstPart(Stream.never, guarded, { key: "b" })))
        yield* TestClock.adjust(0)
        const next = (key: string) => consumed(Ai.untilFirstPart(Stream.make(2), guarded, { key }))
        assert.deepStrictEqual(yield* next("a"), { exit: Exit.void, got: [2] })
        assert.strictEqual(reasonOf((yield* next("b")).exit), "BulkheadFull")
      }).pipe(Effect.provide(Slots.layer))
    })
  )

  it("types", () => {
    const stream = LanguageModel.streamText({ prompt: "x" }).pipe(Ai.untilFirstPart(policy))
    expectTypeOf<Stream.Error<typeof stream>>().toEqualTypeOf<
      AiError.AiError | Policy.RetryExhausted<AiError.AiError | Policy.AttemptTimeout>
    >()
    expectTypeOf<Stream.Services<typeof stream>>().toEqualTypeOf<LanguageModel.LanguageModel>()
    // an AiError can come of error parts alone
    const bare = Policy.make({ name: "bare", faults: Ai.faults })
    const parts = Stream.make(errorPart("x"), { type: "text-delta" as const }).pipe(Ai.untilFirstPart(bare))
    expectTypeOf<Stream.Error<typeof parts>>().toEqualTypeOf<AiError.AiError>()
    const other = Stream.make({ type: "text-delta" as const }).pipe(Ai.untilFirstPart(bare))
    expectTypeOf<Stream.Error<typeof other>>().toBeNever()
    class Slots extends Bulkhead.Service<Slots>()("types/Slots", { maxConcurrent: 1, keys: { max: 1 } }) {}
    const keyed = Policy.make({ name: "keyed", guards: [Slots] })
    const limited = Ai.untilFirstPart(Stream.make(1), keyed, { key: "a" })
    expectTypeOf<Stream.Services<typeof limited>>().toEqualTypeOf<Slots>()
    expectTypeOf<Stream.Error<typeof limited>>().toEqualTypeOf<Bulkhead.BulkheadFull>()
    // @ts-expect-error a keyed guard asks for its key
    const unkeyed = () => Ai.untilFirstPart(Stream.make(1), keyed)
    assert.isFunction(unkeyed)
    const hint = Backoff.honorRetryAfter<Busy>({ ceiling: "1 minute", of: () => undefined })
    const retry = Backoff.constant(1).pipe(hint, Backoff.times(1))
    const narrow = Policy.make({ name: "narrow", faults: Fault.all, safety: "idempotent", retry })
    // @ts-expect-error the schedule does not accept Net
    Stream.fail(new Net()).pipe(Ai.untilFirstPart(narrow))
    // @ts-expect-error the schedule does not accept Net
    Ai.untilFirstPart(Stream.fail(new Net()), narrow)
    const accepted = Stream.fail(new Busy()).pipe(Ai.untilFirstPart(narrow))
    expectTypeOf<Stream.Error<typeof accepted>>().toEqualTypeOf<Busy | Policy.RetryExhausted<Busy>>()
  })
})

describe("over sockets", () => {
  /** What comes of a stream, and how many requests the two providers got. */
  const streamed = (...providers: readonly [ReadonlyArray<Reply>, ReadonlyArray<Reply>]) =>
    Effect.gen(function* () {
      const a = yield* startProvider(...providers[0])
      const b = yield* startProvider(...providers[1])
      const plan = ExecutionPlan.make(
        { provide: chatModel("a", a.url) },
        { provide: chatModel("b", b.url), while: Ai.failsOver }
      )
      const text = LanguageModel.streamText({ prompt: "hello" }).pipe(
        Ai.untilFirstPart(policy),
        Stream.withExecutionPlan(plan, { preventFallbackOnPartialStream: true }),
        Stream.map((part) => (part.type === "text-delta" ? part.delta : "")),
        Stream.filter((delta) => delta !== "")
      )
      const { exit, got } = yield* yield* throughSockets(consumed(text))
      return { exit, got, requests: [a.prompts.length, b.prompts.length] }
    }).pipe(Effect.scoped, Effect.provide(Provider.client))

  const good = Provider.streams("good", " day")

  it.effect("a stream that is cut before the first part is asked for again", () =>
    Effect.gen(function* () {
      const { exit, got, requests } = yield* streamed([Provider.cutAfter(), Provider.overloaded, good], [good])
      assert.deepStrictEqual([exit, got, requests], [Exit.void, ["good", " day"], [3, 0]])
    })
  )

  it.effect("one that stays silent is abandoned, and asked for again", () =>
    Effect.gen(function* () {
      const { exit, got, requests } = yield* streamed([Provider.silentAfter(), Provider.hangs, good], [good])
      assert.deepStrictEqual([exit, got, requests], [Exit.void, ["good", " day"], [3, 0]])
    })
  )

  it.effect("one that never begins is asked of the next provider", () =>
    Effect.gen(function* () {
      const { exit, got, requests } = yield* streamed([Provider.cutAfter()], [good])
      assert.deepStrictEqual([exit, got, requests], [Exit.void, ["good", " day"], [3, 1]])
    })
  )

  const busy = Provider.streamsError({ type: "overloaded_error", message: "Overloaded" })

  it.effect("an overload within a 200 is asked for again, and then of the next provider", () =>
    Effect.gen(function* () {
      const { exit, got, requests } = yield* streamed([busy, busy, good], [good])
      assert.deepStrictEqual([exit, got, requests], [Exit.void, ["good", " day"], [3, 0]])
      const passed = yield* streamed([busy], [good])
      assert.deepStrictEqual([passed.exit, passed.got, passed.requests], [Exit.void, ["good", " day"], [3, 1]])
    })
  )

  it.effect("in the middle of an answer it is not", () =>
    Effect.gen(function* () {
      const { exit, got, requests } = yield* streamed([Provider.streamsError({ type: "api_error" }, "good")], [good])
      assert.deepStrictEqual([exit, got, requests], [Exit.void, ["good"], [1, 0]])
    })
  )

  it.effect("one that is cut in the middle is not: neither here nor there", () =>
    Effect.gen(function* () {
      const { exit, got, requests } = yield* streamed([Provider.cutAfter("good")], [good])
      assert.deepStrictEqual([reasonOf(exit), got, requests], ["NetworkError", ["good"], [1, 0]])
    })
  )

  it.effect("a refusal comes out as it is", () =>
    Effect.gen(function* () {
      const { exit, got, requests } = yield* streamed([Provider.badRequest], [good])
      assert.deepStrictEqual([reasonOf(exit), got, requests], ["InvalidRequestError", [], [1, 0]])
    })
  )
})
