// How a case is timed: by the processor time of its process, so that what else the machine does counts little. One round is a
// slice of the bare call and then a slice of the case, so that what slows down one slows down both; their difference is the
// overhead.

/** Runs something so many times, one after the other. */
export type Loop = (times: number) => Promise<void>

export interface Timed {
  /** The same call without a policy. Absent where there is none: a rejected call never makes it. */
  readonly bare: Loop | undefined
  readonly guarded: Loop
}

/** All in nanoseconds for one call. */
export interface Timing {
  readonly bare: number
  readonly guarded: number
  readonly overhead: number
}

export const rounds = 9
const warmUps = 3
const sliceMs = 40

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const elapsedMs = async (loop: Loop, times: number): Promise<number> => {
  const start = process.cpuUsage()
  await loop(times)
  const { system, user } = process.cpuUsage(start)
  return (user + system) / 1_000
}

/** How many calls fill a slice; finding it out is a part of the warm-up. */
const timesPerSlice = async (loop: Loop): Promise<number> => {
  let times = 5_000
  for (let ms = await elapsedMs(loop, times); ms < sliceMs; ms = await elapsedMs(loop, times)) {
    times = Math.ceil(times * Math.min(10, Math.max(1.3, sliceMs / ms)))
  }
  return times
}

const noCall: Loop = () => Promise.resolve()

export const time = async ({ bare = noCall, guarded }: Timed): Promise<Timing> => {
  await guarded(20_000)
  const times = await timesPerSlice(guarded)
  const taken: Array<Timing> = []
  for (let round = -warmUps; round < rounds; round++) {
    const bareNs = ((await elapsedMs(bare, times)) * 1e6) / times
    const guardedNs = ((await elapsedMs(guarded, times)) * 1e6) / times
    if (round >= 0) taken.push({ bare: bareNs, guarded: guardedNs, overhead: guardedNs - bareNs })
  }
  return medianOf(taken)
}

export const medianOf = (timings: ReadonlyArray<Timing>): Timing => ({
  bare: median(timings.map((it) => it.bare)),
  guarded: median(timings.map((it) => it.guarded)),
  overhead: median(timings.map((it) => it.overhead))
})
