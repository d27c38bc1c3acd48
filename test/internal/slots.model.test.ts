// The slots against a second set, written independently: slow, with one plain list that is searched and sorted for every answer,
// and with the history of its length instead of a time.
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { Slots, Waiter } from "../../src/internal/slots.ts"
import type { Answer, Order } from "../../src/internal/slots.ts"
import { holds, integers } from "../property.ts"

interface Config {
  readonly limit: number
  readonly maxQueue: number
  readonly order: Order
  readonly standingMs: number
}

interface Person {
  readonly id: number
  readonly rank: number
  readonly deadline: number | undefined
}

class Model {
  readonly config: Config
  limit: number
  running = 0
  /** In the order in which they came. */
  line: Array<Person> = []
  answers: Array<string> = []
  /** When the line was found empty last. */
  lastEmpty: number

  constructor(config: Config, now: number) {
    this.config = config
    this.limit = config.limit
    this.lastEmpty = now
  }

  /** Those that wait, as they would be served at this time. */
  turns(now: number): ReadonlyArray<Person> {
    const { order, standingMs } = this.config
    const reversed = order === "lifo" || (order === "adaptive" && now - this.lastEmpty >= standingMs)
    const line = reversed ? this.line.toReversed() : this.line
    return [0, 1, 2, 3, 4].flatMap((rank) => line.filter((person) => person.rank === rank))
  }

  remove(person: Person) {
    this.line = this.line.filter((other) => other !== person)
  }

  acquire(now: number): boolean {
    this.look(now)
    if (this.line.length > 0 || this.running >= this.limit) return false
    this.running++
    return true
  }

  enqueue(person: Person, now: number): boolean {
    this.look(now)
    const free = this.line.length === 0 && this.running < this.limit
    if (!free && this.line.length === this.config.maxQueue) {
      const last = this.turns(now).findLast((other) => other.rank > person.rank)
      const lowest = this.turns(now).at(-1)
      if (last === undefined) return false
      assert.strictEqual(last, lowest)
      this.remove(last)
      this.answers.push(`${last.id} displaced`)
    }
    this.line.push(person)
    this.serve(now)
    return true
  }

  /** What becomes of the one that leaves: it waited, it held a slot, or it had neither. */
  leave(person: Person, holds: boolean, now: number) {
    this.look(now)
    if (holds) this.release(now)
    else this.remove(person)
    this.look(now)
  }

  release(now: number) {
    this.running--
    this.serve(now)
  }

  serve(now: number) {
    while (this.running < this.limit && this.line.length > 0) {
      const [next] = this.turns(now) as [Person]
      this.remove(next)
      const late = next.deadline !== undefined && now >= next.deadline
      if (!late) this.running++
      this.answers.push(`${next.id} ${late ? "expired" : "granted"}`)
    }
    this.look(now)
  }

  look(now: number) {
    if (this.line.length === 0) this.lastEmpty = now
  }
}

class Probe extends Waiter {
  readonly person: Person
  readonly log: Array<string>
  constructor(person: Person, log: Array<string>) {
    super()
    this.person = person
    this.log = log
  }
  get rank() {
    return this.person.rank
  }
  get deadline() {
    return this.person.deadline
  }
  answered(answer: Answer) {
    this.log.push(`${this.person.id} ${answer}`)
  }
}

const config = Arbitrary.map(
  Arbitrary.all({ limit: integers(0, 4), maxQueue: integers(0, 8), order: integers(0, 2), standing: integers(0, 3) }),
  ({ limit, maxQueue, order, standing }): Config => ({
    limit,
    maxQueue,
    order: (["fifo", "lifo", "adaptive"] as const)[order]!,
    standingMs: [0, 10, 50, 150][standing]!
  })
)

const command = Arbitrary.all({
  pass: integers(-20, 30),
  what: integers(0, 19),
  which: integers(0, 9),
  rank: integers(0, 4),
  deadline: integers(-60, 80)
})

describe("the slots", () => {
  it.effect("do what the slow model does", () => {
    const visited = new Map<string, number>()
    const visit = (what: string) => visited.set(what, (visited.get(what) ?? 0) + 1)
    return Effect.gen(function* () {
      yield* holds(
        Arbitrary.all({ config, commands: Arbitrary.array(command, { minLength: 30, maxLength: 100 }) }),
        ({ commands, config }) => {
          let now = 1_000
          const log: Array<string> = []
          const slots = new Slots(config)
          const model = new Model(config, now)
          /** Those that took a slot without waiting. */
          let walkedIn = 0
          const probes: Array<Probe> = []
          const asked = new Set<Probe>()
          const one = (state: string, which: number) => {
            const all = probes.filter((probe) => probe.state === state)
            return all[which % Math.max(1, all.length)]
          }
          const agreed = commands.every(({ deadline, pass, rank, what, which }) => {
            now += Math.max(0, pass)
            let agrees = true
            if (what <= 2) {
              const isFree = slots.isFree
              const acquired = slots.tryAcquire()
              agrees = acquired === model.acquire(now) && acquired === isFree
              if (acquired) walkedIn++
            } else if (what <= 11) {
              const person = { id: probes.length, rank, deadline: deadline < 0 ? undefined : now + deadline }
              const probe = new Probe(person, log)
              const hasPlace = slots.isFree || slots.hasPlace(rank)
              const isIn = slots.enqueue(probe, now)
              probes.push(probe)
              if (isIn) asked.add(probe)
              else visit("refused")
              agrees = isIn === model.enqueue(person, now) && isIn === hasPlace
            } else if (what <= 15) {
              const probe = one("granted", which)
              if (which < 3 && walkedIn > 0) {
                walkedIn--
                slots.release(now)
                model.release(now)
              } else if (probe !== undefined) {
                slots.leave(probe, now)
                model.leave(probe.person, true, now)
              }
            } else if (what <= 17) {
              const state = (["waiting", "waiting", "waiting", "displaced", "expired", "gone"] as const)[which % 6]!
              const probe = one(state, rank)
              if (probe !== undefined) {
                visit(`left ${state}`)
                slots.leave(probe, now)
                model.leave(probe.person, false, now)
              }
            } else {
              slots.resize(which % 6, now)
              model.limit = which % 6
              model.serve(now)
            }
            const holding = probes.filter((probe) => probe.state === "granted").length + walkedIn
            if (slots.inFlight > slots.limit) visit("above a lowered limit")
            return (
              agrees &&
              String(log) === String(model.answers) &&
              slots.inFlight === model.running &&
              slots.inFlight === holding &&
              slots.waiting === model.line.length &&
              slots.waiting <= config.maxQueue &&
              (slots.waiting === 0 || slots.inFlight >= slots.limit) &&
              // everybody who came in has had one answer, or waits, or left before there was one
              log.length === new Set(log.map((line) => line.split(" ")[0])).size &&
              [...asked].every(
                ({ person, state }) => state === "waiting" || state === "gone" || log.includes(`${person.id} ${state}`)
              )
            )
          })
          for (const line of log) visit(line.split(" ")[1]!)
          return agreed
        },
        { runs: 1_500 }
      )
      // what was never tried was not tested
      for (const what of [
        "granted",
        "displaced",
        "expired",
        "refused",
        "left waiting",
        "left displaced",
        "left expired",
        "left gone",
        "above a lowered limit"
      ]) {
        assert.isAbove(visited.get(what) ?? 0, 50, what)
      }
    })
  })
})
