// A runtime of which the test decides every step: its scheduler runs tasks when asked, its clock moves when nothing else can.
import { Clock, Duration, Effect, Fiber, Scheduler } from "effect"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export class VirtualClock implements Clock.Clock {
  now = 0
  readonly sleepers: Array<Sleeper> = []
  currentTimeMillisUnsafe = () => this.now
  readonly currentTimeMillis = Effect.sync(this.currentTimeMillisUnsafe)
  currentTimeNanosUnsafe = () => BigInt(Math.round(this.now * 1_000_000))
  readonly currentTimeNanos = Effect.sync(this.currentTimeNanosUnsafe)
  monotonicTimeNanosUnsafe = this.currentTimeNanosUnsafe
  readonly monotonicTimeNanos = this.currentTimeNanos
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const sleeper = { at: this.now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      this.sleepers.push(sleeper)
      return Effect.sync(() => this.remove(sleeper))
    })
  }
  private remove(sleeper: Sleeper): void {
    const i = this.sleepers.indexOf(sleeper)
    if (i >= 0) this.sleepers.splice(i, 1)
  }
  /** Moves on to the next sleeper, if there is one, and wakes it. */
  advance(): boolean {
    const next = this.sleepers.toSorted((a, b) => a.at - b.at)[0]
    if (next === undefined) return false
    this.remove(next)
    this.now = next.at
    next.wake()
    return true
  }
}

/** Runs tasks in order when asked, and sees every operation of every fiber. */
export class SteppedScheduler implements Scheduler.Scheduler {
  readonly executionMode = "async"
  operations = 0
  readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  private readonly tasks: Array<() => void> = []
  private readonly onOperation: (operation: number) => boolean
  constructor(onOperation: (operation: number) => boolean) {
    this.onOperation = onOperation
  }
  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.fibers.add(fiber)
    return this.onOperation(this.operations++)
  }
  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return {
      scheduleTask: (task) => void this.tasks.push(task),
      flush: () => this.drain()
    }
  }
  drain(): boolean {
    const some = this.tasks.length > 0
    for (let task = this.tasks.shift(); task !== undefined; task = this.tasks.shift()) task()
    return some
  }
}

/**
 * Runs `self` to its end in virtual time, interrupting it at the `interruptAt`-th operation of the runtime; with `yielding`, the
 * running fiber gives way there, as it may at any operation.
 */
export const runInterrupted = <A, E>(self: Effect.Effect<A, E>, interruptAt: number | undefined, yielding: boolean) => {
  let main: Fiber.Fiber<A, E> | undefined
  const clock = new VirtualClock()
  const scheduler = new SteppedScheduler((operation) => {
    if (operation !== interruptAt) return false
    main!.interruptUnsafe()
    return yielding
  })
  // one operation of a warm-up, so that `main` is known before the first that counts
  const started = Effect.withFiber((fiber) => {
    main = fiber as Fiber.Fiber<A, E>
    scheduler.operations = 0
    return self
  })
  const fiber = Effect.runFork(Effect.provideService(started, Clock.Clock, clock), { scheduler })
  main ??= fiber
  for (let i = 0; i < 100_000 && fiber.pollUnsafe() === undefined; i++) {
    if (!scheduler.drain() && !clock.advance()) break
  }
  // what was interrupted and not waited for ends now, or is a leak
  scheduler.drain()
  return {
    exit: fiber.pollUnsafe(),
    operations: scheduler.operations,
    fibers: scheduler.fibers.size,
    sleepers: clock.sleepers.length,
    openFibers: [...scheduler.fibers].filter((fiber) => fiber.pollUnsafe() === undefined).length
  }
}
