/**
 * Measures one case, and prints the result as JSON:
 * `node --expose-gc --conditions=effect-resilience-source bench/case.ts "ours: guarded, sync"`.
 */
import { memory, timed, type Result, type TimedCase } from "./cases.ts"
import { time } from "./measure.ts"

const measure = async (name: string): Promise<Result> => {
  if (name === memory) return (await import("./memory.ts")).footprint()
  if (!(name in timed)) throw new Error(`no case "${name}"; there are: ${[memory, ...Object.keys(timed)].join("; ")}`)
  return time(await timed[name as TimedCase]())
}

console.log(JSON.stringify(await measure(process.argv[2] ?? "")))
// opossum's intervals would keep it alive
process.exit(0)
