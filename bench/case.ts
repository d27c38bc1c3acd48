/**
 * One case in a process of its own. `run.ts` asks for its turns, one by one; alone it takes some, and prints the fastest as JSON:
 * `node --expose-gc --conditions=effect-resilience-source bench/case.ts "ours: guarded, sync"`.
 */
import { memory, timed, type TimedCase } from "./cases.ts"
import { fastest, overhead, warmedUp, type Timing } from "./measure.ts"

const name = process.argv[2] ?? ""
const alone = 40

const answer = async (): Promise<unknown> => {
  if (name === memory) return (await import("./memory.ts")).footprint()
  if (!(name in timed)) throw new Error(`no case "${name}"; there are: ${[memory, ...Object.keys(timed)].join("; ")}`)
  const turn = await warmedUp(await timed[name as TimedCase]())
  if (process.send !== undefined) {
    process.on("message", () => void turn().then((timing) => process.send!(timing)))
    return "ready"
  }
  const taken: Array<Timing> = []
  for (let i = 0; i < alone; i++) taken.push(await turn())
  const timing = fastest(taken)
  return { ...timing, overhead: overhead(timing) }
}

const said = await answer()
if (process.send === undefined) {
  console.log(JSON.stringify(said))
  // opossum's intervals would keep it alive
  process.exit(0)
}
process.send(said)
process.on("disconnect", () => process.exit(0))
