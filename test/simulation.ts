// Clients, each with a limit of its own, and the server they share: a discrete-event simulation. It needs no Effect, and a minute of
// it takes some ten milliseconds.

/** What a client has instead of a guard. */
export interface Limiter {
  readonly limit: number
  press(): void
  sample(now: number, elapsedMs: number, inFlight: number, dropped: boolean): void
}

export interface World {
  readonly seed: number
  readonly untilMs: number
  /**
   * How many calls the server works on at once. This is its true capacity: with more in flight it serves no more a second, they
   * only wait in it.
   */
  readonly capacity: (now: number) => number
  /** How long it works on one, on average. */
  readonly serviceMs: (now: number) => number
  /** The standard deviation of that, as a share of it: a service time is log-normal. */
  readonly variation: number
  /** How many may wait in it. One more is refused, after a millisecond. */
  readonly queueBound: number
  /** After so long the client has given up; the server does not know, and goes on. */
  readonly timeoutMs: number
  /** How many calls a second all clients together would like to make, at random times (Poisson). */
  readonly offered: (now: number) => number
  readonly clients: ReadonlyArray<{ readonly limiter: Limiter; readonly fromMs?: number }>
}

/** What happened in one second. */
export interface Second {
  served: number
  dropped: number
  refused: number
  readonly latenciesMs: Array<number>
}

export interface Recording {
  readonly seconds: ReadonlyArray<Second>
  /** For each client, ten times a second, its limit and how many calls it had in flight. */
  readonly limits: ReadonlyArray<ReadonlyArray<number>>
  readonly inFlight: ReadonlyArray<ReadonlyArray<number>>
}

/** Mulberry32: uniform in [0, 1). */
export const randomFrom = (seed: number) => {
  let state = seed | 0
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Call {
  readonly client: Client
  readonly at: number
  /** How many the client had in flight when it began. */
  readonly inFlight: number
  isOver: boolean
}

interface Client {
  readonly limiter: Limiter
  inFlight: number
  next: number
  readonly limits: Array<number>
  readonly inFlights: Array<number>
}

const sampleMs = 100

export const simulate = (world: World): Recording => new Simulation(world).run()

class Simulation {
  readonly #world: World
  readonly #random: () => number
  readonly #events = new Events()
  readonly #seconds: Array<Second> = []
  readonly #clients: ReadonlyArray<Client>
  readonly #queue: Array<Call> = []
  #working = 0

  constructor(world: World) {
    this.#world = world
    this.#random = randomFrom(world.seed)
    this.#clients = world.clients.map(({ fromMs, limiter }) => ({
      limiter,
      inFlight: 0,
      next: fromMs ?? 0,
      limits: [],
      inFlights: []
    }))
  }

  run(): Recording {
    const { untilMs } = this.#world
    for (let sampleAt = 0; ;) {
      let now = Math.min(sampleAt, this.#events.next)
      let caller: Client | undefined = undefined
      for (const client of this.#clients) {
        if (client.next >= now) continue
        now = client.next
        caller = client
      }
      if (now >= untilMs) break
      if (caller !== undefined) {
        this.#call(caller, now)
      } else if (now === sampleAt) {
        this.#sample()
        sampleAt += sampleMs
      } else {
        this.#events.pop()(now)
      }
    }
    return {
      seconds: this.#seconds,
      limits: this.#clients.map(({ limits }) => limits),
      inFlight: this.#clients.map(({ inFlights }) => inFlights)
    }
  }

  #sample(): void {
    for (const client of this.#clients) {
      client.limits.push(client.limiter.limit)
      client.inFlights.push(client.inFlight)
    }
  }

  #second(now: number): Second {
    return (this.#seconds[Math.floor(now / 1000)] ??= { served: 0, dropped: 0, refused: 0, latenciesMs: [] })
  }

  #call(client: Client, now: number): void {
    const { capacity, offered, queueBound, timeoutMs } = this.#world
    client.next = now + (-Math.log(1 - this.#random()) * 1000 * this.#clients.length) / offered(now)
    if (client.inFlight >= client.limiter.limit) {
      client.limiter.press()
      this.#second(now).refused++
      return
    }
    const call: Call = { client, at: now, inFlight: ++client.inFlight, isOver: false }
    if (this.#working < capacity(now)) {
      this.#work(call, now)
    } else if (this.#queue.length < queueBound) {
      this.#queue.push(call)
    } else {
      this.#events.add(now + 1, (now) => this.#end(call, now, true))
      return
    }
    this.#events.add(now + timeoutMs, (now) => this.#end(call, now, true))
  }

  #work(call: Call, now: number): void {
    this.#working++
    this.#events.add(now + this.#service(now), (now) => {
      this.#working--
      this.#end(call, now, false)
      while (this.#working < this.#world.capacity(now) && this.#queue.length > 0) this.#work(this.#queue.shift()!, now)
    })
  }

  #service(now: number): number {
    const { serviceMs, variation } = this.#world
    const variance = Math.log(1 + variation ** 2)
    const normal = Math.sqrt(-2 * Math.log(1 - this.#random())) * Math.cos(2 * Math.PI * this.#random())
    return serviceMs(now) * Math.exp(Math.sqrt(variance) * normal - variance / 2)
  }

  #end(call: Call, now: number, dropped: boolean): void {
    if (call.isOver) return
    call.isOver = true
    call.client.inFlight--
    call.client.limiter.sample(now, now - call.at, call.inFlight, dropped)
    const second = this.#second(now)
    if (dropped) {
      second.dropped++
    } else {
      second.served++
      second.latenciesMs.push(now - call.at)
    }
  }
}

type Event = (now: number) => void

/** A heap of what will happen, the next first. */
class Events {
  readonly #times: Array<number> = []
  readonly #events: Array<Event> = []

  get next(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY
  }

  add(at: number, event: Event): void {
    let i = this.#times.length
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (this.#times[parent]! <= at) break
      this.#move(parent, i)
      i = parent
    }
    this.#times[i] = at
    this.#events[i] = event
  }

  pop(): Event {
    const first = this.#events[0]!
    const at = this.#times.pop()!
    const event = this.#events.pop()!
    const length = this.#times.length
    if (length > 0) {
      let i = 0
      for (let child = 1; child < length; child = 2 * i + 1) {
        if (child + 1 < length && this.#times[child + 1]! < this.#times[child]!) child++
        if (this.#times[child]! >= at) break
        this.#move(child, i)
        i = child
      }
      this.#times[i] = at
      this.#events[i] = event
    }
    return first
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from]!
    this.#events[to] = this.#events[from]!
  }
}
