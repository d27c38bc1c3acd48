// Pure arithmetic over the calls that have ended.
export interface Call {
  /** In milliseconds since the start. */
  readonly arrived: number
  readonly tookMs: number
  /** The error's tag; `undefined` for a call that succeeded. */
  readonly error: string | undefined
}

/** Calls that arrived in [from, to). */
export const between = (calls: ReadonlyArray<Call>, from: number, to: number): ReadonlyArray<Call> =>
  calls.filter(({ arrived }) => arrived >= from && arrived < to)

export const successes = (calls: ReadonlyArray<Call>): ReadonlyArray<Call> =>
  calls.filter(({ error }) => error === undefined)

export const failures = (calls: ReadonlyArray<Call>): ReadonlyArray<Call> =>
  calls.filter(({ error }) => error !== undefined)

/** From 0 to 1; `undefined` without a call. */
export const successRate = (calls: ReadonlyArray<Call>): number | undefined =>
  calls.length === 0 ? undefined : successes(calls).length / calls.length

/** The smallest value that at least `p` percent of the values do not exceed (nearest rank); `undefined` without a value. */
export const percentile = (values: ReadonlyArray<number>, p: number): number | undefined => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)]
}

/** Recovered is: of this many calls in a row, at least this many succeed. */
const recovered = { of: 20, succeed: 19 }

/**
 * From `healthyAt` to the arrival of the first call with which success is back: of it and the 19 that arrive after it, at least 19
 * succeed. `undefined` if that never comes.
 */
export const timeToRecover = (calls: ReadonlyArray<Call>, healthyAt: number): number | undefined => {
  const after = calls.filter(({ arrived }) => arrived >= healthyAt).toSorted((a, b) => a.arrived - b.arrived)
  const first = after.findIndex((call, i) => {
    const run = after.slice(i, i + recovered.of)
    return call.error === undefined && run.length === recovered.of && successes(run).length >= recovered.succeed
  })
  return first === -1 ? undefined : after[first]!.arrived - healthyAt
}
