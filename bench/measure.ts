// How a case is timed: by the processor time of its process, in rounds. In a round every case has a few turns, in turn with those it is
// compared to, and of its turns the fastest count. What else a machine does can only slow them down, and it does so for a part of a
// second or for minutes on end; so figures of different minutes say nothing of each other, but in a round those that are compared meet
// the same. Ratios are made within a round, and the median of those counts.
/** Runs something so many times, one after the other. */
export type Loop = (times: number) => Promise<void>

export interface Timed {
  /** The same call without a policy. Absent where there is none: a rejected call never makes it. */
  readonly bare: Loop | undefined
  readonly guarded: Loop
}

/** Nanoseconds for one call. */
export interface Timing {
  readonly bare: number
  readonly guarded: number
}

/** The first slice after a turn of others finds the caches full of theirs. */
const slicesPerTurn = 2
const sliceMs = 20

export const quantile = (values: ReadonlyArray<number>, q: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const [below, above] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!]
  return below + (above - below) * (at - Math.floor(at))
}

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

export const overhead = ({ bare, guarded }: Timing): number => guarded - bare

const elapsedMs = async (loop: Loop, times: number): Promise<number> => {
  const start = process.cpuUsage()
  await loop(times)
  const { system, user } = process.cpuUsage(start)
  return (user + system) / 1_000
}

/** How many calls fill a slice; finding it out is a part of the warm-up. */
const timesPerSlice = async (loop: Loop): Promise<number> => {
  let times = 200
  for (let ms = await elapsedMs(loop, times); ms < sliceMs; ms = await elapsedMs(loop, times)) {
    times = Math.ceil(times * Math.min(10, Math.max(1.3, sliceMs / ms)))
  }
  return times
}

const noCall: Loop = () => Promise.resolve()

/** Of several turns, the fastest: of either side, for they were not disturbed at the same time. */
export const fastest = (turns: ReadonlyArray<Timing>): Timing => ({
  bare: Math.min(...turns.map((it) => it.bare)),
  guarded: Math.min(...turns.map((it) => it.guarded))
})

/** Warms a case up; what it returns is one turn: slices of the bare call and of the case, one after the other. */
export const warmedUp = async ({ bare = noCall, guarded }: Timed): Promise<() => Promise<Timing>> => {
  await guarded(20_000)
  const times = await timesPerSlice(guarded)
  const nsPerCall = async (loop: Loop): Promise<number> => ((await elapsedMs(loop, times)) * 1e6) / times
  return async () => {
    const slices: Array<Timing> = []
    for (let i = 0; i < slicesPerTurn; i++)
      slices.push({ bare: await nsPerCall(bare), guarded: await nsPerCall(guarded) })
    return fastest(slices)
  }
}
