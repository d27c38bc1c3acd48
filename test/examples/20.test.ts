// Real transactions that meet by chance: only what must hold of any run is asked.
import { describe, expect, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { missing } from "../../examples/support/postgres.ts"

const run = (url: string | undefined) =>
  new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const args = ["--conditions=effect-resilience-source", "examples/20-serializable-transfer.ts"]
    // the environment of a plain terminal: what vitest sets (colours, options of Node) would show on stderr
    const env = { PATH: process.env["PATH"], ...(url === undefined ? {} : { RESILIENCE_PG_URL: url }) }
    const child = execFile(process.execPath, args, { env, timeout: 55_000 }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr })
    )
  })

const reason = missing()

describe("example 20", () => {
  it.skipIf(reason !== undefined)(
    `loses money, then calls, then neither${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    async () => {
      const { code, stderr, stdout } = await run(process.env["RESILIENCE_PG_URL"])
      expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" })
      const days = stdout.split(/^(?=\w)/m).map((text) => {
        const [name] = text.split("\n")
        const [transfers, made, without, refused, retries] = text.match(/\d+/g)!.map(Number)
        return { name, transfers, made, without, refused, retries, balanced: text.includes("the books: balanced\n") }
      })
      expect(days.map(({ name }) => name)).toEqual([
        "read committed",
        "serializable, nobody retries",
        "serializable, under a policy"
      ])
      for (const { made, refused, transfers, without } of days) expect(made! + without! + refused!).toBe(transfers)
      const [careless, refused, retried] = days
      // what it loses may by chance be nothing
      expect(careless).toMatchObject({ retries: 0 })
      // two hundred transfers among five accounts, eight at a time: that no two of them meet is not to be feared
      expect(refused).toMatchObject({ retries: 0, balanced: true })
      expect(refused!.refused).toBeGreaterThan(0)
      expect(retried).toMatchObject({ refused: 0, balanced: true })
      expect(retried!.retries).toBeGreaterThan(0)
    }
  )

  it("without PostgreSQL says so, and ends well", async () => {
    expect(await run("off")).toEqual({ code: 0, stderr: "", stdout: "skipped: RESILIENCE_PG_URL is off\n" })
  })
})
