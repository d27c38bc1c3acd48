// Whatever comes, goes, waits and gives up: a bulkhead never lets in more than its limit, loses nobody, and ends empty.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Clock, Effect, Exit, Fiber, Option } from "effect"
import * as Bulkhead from "../src/Bulkhead.ts"
import * as Deadline from "../src/Deadline.ts"
import * as Policy from "../src/Policy.ts"
import * as Priority from "../src/Priority.ts"
import { holds, integers } from "./property.ts"
import { runInterrupted } from "./virtual.ts"

class B extends Bulkhead.Service<B>()("app/B", { maxConcurrent: 1 }) {}
const policy = Policy.make({ name: "p", guards: [B] })
const timed = Policy.make({ name: "timed", deadline: 40, guards: [B] })

const caller = Arbitrary.all({
  at: integers(0, 40),
  rank: integers(0, 4),
  holdMs: integers(0, 30),
  interruptAfter: integers(-40, 40),
  deadline: integers(-60, 40),
  way: integers(0, 2)
})

const resize = Arbitrary.all({ at: integers(0, 80), to: integers(1, 5) })

const scenario = Arbitrary.all({
  limit: integers(1, 4),
  maxQueue: integers(0, 6),
  maxWait: integers(1, 50),
  standing: integers(0, 20),
  callers: Arbitrary.array(caller, { minLength: 20, maxLength: 40 }),
  resizes: Arbitrary.array(resize, { minLength: 0, maxLength: 4 })
})

type Scenario = typeof scenario extends Arbitrary.Arbitrary<infer A> ? A : never

interface Waiting {
  readonly rank: number
  readonly turn: number
  readonly deadline: number
}

const run = (order: Bulkhead.Order, { callers, limit, maxQueue, maxWait, resizes, standing }: Scenario) => {
  const answers = new Map<number, string>()
  const seen: Array<string> = []
  const waiting = new Set<Waiting>()
  const faults: Array<string> = []
  const must = (holds: boolean, what: string) => void (holds || faults.push(what))
  let running = 0
  let limitNow = limit
  let turn = 0

  /** Whoever is let in comes before all that still wait. */
  const checkTurn = (me: Waiting, waited: boolean, now: number) => {
    const others = [...waiting].filter((other) => other !== me && other.deadline > now)
    must(waited || others.length === 0, "a newcomer overtook those that wait")
    must(
      others.every((other) => other.rank >= me.rank),
      "one that matters more was left waiting"
    )
    const equals = others.filter((other) => other.rank === me.rank)
    const isFirst = equals.every((other) => other.turn > me.turn)
    const isLast = equals.every((other) => other.turn < me.turn)
    must(order === "fifo" ? isFirst : order === "lifo" ? isLast : isFirst || isLast, "not its turn")
  }

  const call = (i: number) => {
    const { at, deadline, holdMs, interruptAfter, rank, way } = callers[i]!
    const within = way === 2 ? 40 : deadline > 0 ? deadline : Number.POSITIVE_INFINITY
    const me = (now: number): Waiting => ({ rank, turn: turn++, deadline: now + within })
    const asked = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const mine = me(now)
      let isNew = true
      waiting.add(mine)
      const work = Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const { inFlight, maxConcurrent } = yield* B.snapshot()
        waiting.delete(mine)
        running++
        must(maxConcurrent === limitNow, "the limit is not what it was set to")
        must(inFlight <= limitNow, "began above the limit")
        must(running <= inFlight, "one runs without a slot")
        must(now < mine.deadline, "began after its deadline")
        checkTurn(mine, !isNew, now)
        yield* Effect.ensuring(
          Effect.sleep(holdMs),
          Effect.sync(() => running--)
        )
      }).pipe(Effect.as("ok"))
      const guarded =
        way === 0
          ? B.protect(work)
          : way === 1
            ? Policy.withResilience(work, policy)
            : Policy.withResilience(work, timed)
      const bounded = deadline > 0 && way !== 2 ? Deadline.within(guarded, deadline) : guarded
      const fiber = yield* Effect.forkChild(
        bounded.pipe(
          Effect.onError((cause) =>
            Effect.map(B.snapshot(), (snapshot) => {
              waiting.delete(mine)
              const error = Option.getOrUndefined(Cause.findErrorOption(cause))
              if (!(error instanceof Bulkhead.BulkheadFull)) return
              must(snapshot.inFlight >= snapshot.maxConcurrent, `refused (${error.reason}) although a slot was free`)
              const isFull = snapshot.waiting === maxQueue
              must(error.reason === "wait" || isFull, `refused (${error.reason}) although there was a place`)
            })
          )
        ),
        { startImmediately: true }
      )
      isNew = false
      const end = Fiber.await(fiber)
      const exit = yield* interruptAfter > 0
        ? Effect.raceFirst(
            end,
            Effect.andThen(Effect.sleep(interruptAfter), Effect.andThen(Fiber.interrupt(fiber), end))
          )
        : end
      const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
      const answer =
        error instanceof Bulkhead.BulkheadFull
          ? error.reason
          : (error?._tag ?? (Exit.isSuccess(exit) ? "ok" : Exit.hasInterrupts(exit) ? "interrupted" : String(exit)))
      const late = (yield* Clock.currentTimeMillis) - now
      if (answer === "wait") must(late === maxWait || late === maxWait + 2, `gave up after ${late} of ${maxWait} ms`)
      if (answer === "DeadlineExceeded") must(late <= within + 2, `the deadline of ${within} was raised after ${late}`)
      must(!answers.has(i), "answered twice")
      answers.set(i, answer)
      seen.push(answer)
    })
    return Effect.andThen(Effect.sleep(at), asked).pipe(Priority.at(Priority.levels[rank]!))
  }

  const program = Effect.gen(function* () {
    const fibers = yield* Effect.forEach(callers, (_, i) => Effect.forkChild(call(i), { startImmediately: true }))
    for (const { at, to } of resizes) {
      fibers.push(
        yield* Effect.forkChild(
          Effect.andThen(
            Effect.sleep(at),
            Effect.suspend(() => {
              limitNow = to
              return B.resize(to)
            })
          ),
          { startImmediately: true }
        )
      )
    }
    yield* Fiber.joinAll(fibers)
    return yield* B.snapshot()
  }).pipe(Effect.provide(B.layerWith({ maxConcurrent: limit, maxQueue, maxWait, order, standing })))

  const result = runInterrupted(program, undefined, false)
  const empty = { key: undefined, maxConcurrent: limitNow, inFlight: 0, waiting: 0 }
  must(JSON.stringify(result.exit) === JSON.stringify(Exit.succeed(empty)), `ended with ${String(result.exit)}`)
  must(answers.size === callers.length, "somebody was never answered")
  must(running === 0 && waiting.size === 0, "somebody is still there")
  must(result.sleepers === 0 && result.openFibers === 0, "a timer or a fiber is left")
  return { faults, seen }
}

describe("a bulkhead, whatever happens", () => {
  for (const order of ["fifo", "lifo", "adaptive"] as const) {
    it.effect(`${order}: never above its limit, nobody lost, nobody overtaken, nothing left`, () => {
      const visited = new Map<string, number>()
      return Effect.gen(function* () {
        yield* holds(
          scenario,
          (input) => {
            const { faults, seen } = run(order, input)
            for (const answer of seen) visited.set(answer, (visited.get(answer) ?? 0) + 1)
            if (faults.length > 0) throw new Error(faults.join("; "))
            return true
          },
          { runs: 400 }
        )
        // what was never tried was not tested
        for (const answer of ["ok", "queue", "displaced", "wait", "DeadlineExceeded", "interrupted"]) {
          assert.isAbove(visited.get(answer) ?? 0, 50, answer)
        }
      })
    })
  }
})
