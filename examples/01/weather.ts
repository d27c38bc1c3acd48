// The weather every server goes through, as data. Nothing runs: what the weather is follows from how much time has passed.
export interface Weather {
  readonly name: string
  readonly seconds: number
  /** How long a worker is busy with a request: evenly distributed between the two, in milliseconds. */
  readonly work: readonly [min: number, max: number]
  /** The share of requests that get stuck, and keep their worker for 1.5 seconds. */
  readonly stuck: number
  /** The share of requests that end in a 503, after the work. */
  readonly failing: number
  /** Above this many requests in a second it says 429 at once, and when the next second begins. */
  readonly quota: number
}

const fine = { work: [50, 100], stuck: 0, failing: 0, quota: Number.POSITIVE_INFINITY } as const

/** Worse and worse, and then fine at once, so that it can be seen how long each client takes to notice. */
export const script = [
  { ...fine, name: "healthy", seconds: 2 },
  { ...fine, name: "30% errors", seconds: 5, failing: 0.3 },
  { ...fine, name: "throttling", seconds: 3, quota: 30 },
  { ...fine, name: "slow", seconds: 2, work: [75, 125], stuck: 0.05 },
  { ...fine, name: "outage", seconds: 3, work: [100, 200], failing: 1 },
  { ...fine, name: "recovery", seconds: 3 }
] as const satisfies ReadonlyArray<Weather>

/** One after the other, each with when it begins and ends, in milliseconds from the start. */
export const timeline = script.map((weather, i) => {
  const from = script.slice(0, i).reduce((sum, { seconds }) => sum + seconds * 1000, 0)
  return { weather: weather as Weather, from, to: from + weather.seconds * 1000 }
})

export type Phase = (typeof timeline)[number]

export const lengthMs = timeline.at(-1)!.to

/** When the server is healthy again, for good. */
export const recoveryMs = timeline.at(-1)!.from

export const phaseAt = (ms: number): Phase => timeline.find(({ to }) => ms < to) ?? timeline.at(-1)!
