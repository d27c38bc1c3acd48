// What happens, as data: how much the server can do, and how much it is asked to do.

/** How long a worker takes for a request: evenly distributed between the two, in milliseconds. */
export const workMs = [100, 200] as const

const perWorker = 1000 / ((workMs[0] + workMs[1]) / 2)

/** Three quarters of the workers are away for a while. */
export const phases = [
  { name: "healthy", seconds: 5, workers: 12 },
  { name: "drop", seconds: 8, workers: 3 },
  { name: "after", seconds: 9, workers: 12 }
] as const

/** One after the other, each with when it begins and ends, in milliseconds from the start. */
export const timeline = phases.map(({ name, seconds, workers }, i) => {
  const from = phases.slice(0, i).reduce((sum, phase) => sum + phase.seconds * 1000, 0)
  return { name, workers, from, to: from + seconds * 1000 }
})

export const lengthMs = timeline.at(-1)!.to

export const phaseAt = (ms: number) => timeline.find(({ to }) => ms < to) ?? timeline.at(-1)!

/** How many requests a second the workers can serve, on average. */
export const capacityAt = (ms: number): number => phaseAt(ms).workers * perWorker

/**
 * New calls a second, to each server, on average: less than two thirds of what it can serve when it is healthy, and two and a half
 * times as much as in the drop. One call in five is critical: those alone would be half of what it can serve in the drop.
 */
export const perSecond = 50
export const criticalShare = 0.2
