// How a case is timed: by the processor time of its process, in rounds. A round takes a few slices of the bare call and of the case in turn, and
// of each the fastest: what else a machine does can only slow them down. The overhead of a round is the difference of the two; that of a process
// is the median of its rounds; and of several processes that one counts which was disturbed least.
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
const slicesPerRound = 3
const sliceMs = 20

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
  let times = 200
  for (let ms = await elapsedMs(loop, times); ms < sliceMs; ms = await elapsedMs(loop, times)) {
    times = Math.ceil(times * Math.min(10, Math.max(1.3, sliceMs / ms)))
  }
  return times
}

const noCall: Loop = () => Promise.resolve()

export const time = async ({ bare = noCall, guarded }: Timed): Promise<Timing> => {
  await guarded(20_000)
  const times = await timesPerSlice(guarded)
  const nsPerCall = async (loop: Loop): Promise<number> => ((await elapsedMs(loop, times)) * 1e6) / times
  const taken: Array<Timing> = []
  for (let round = -warmUps; round < rounds; round++) {
    let [bareNs, guardedNs] = [Infinity, Infinity]
    for (let slice = 0; slice < slicesPerRound; slice++) {
      bareNs = Math.min(bareNs, await nsPerCall(bare))
      guardedNs = Math.min(guardedNs, await nsPerCall(guarded))
    }
    if (round >= 0) taken.push({ bare: bareNs, guarded: guardedNs, overhead: guardedNs - bareNs })
  }
  return {
    bare: median(taken.map((it) => it.bare)),
    guarded: median(taken.map((it) => it.guarded)),
    overhead: median(taken.map((it) => it.overhead))
  }
}

export const leastDisturbed = (timings: ReadonlyArray<Timing>): Timing =>
  timings.reduce((least, it) => (it.guarded < least.guarded ? it : least))
