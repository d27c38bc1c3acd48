// A PostgreSQL server of one's own, for examples and tests: in a directory that goes with it, on a free port, for nobody but this
// machine. It is started from the programs that are installed; there is nothing to configure.
import { Data, Effect, Redacted, Scope } from "effect"
import { PgClient } from "@effect/sql-pg"
import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { accessSync, chownSync, constants, globSync, mkdtempSync, rmSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { promisify } from "node:util"

/** There is no PostgreSQL to be had, and why. */
export class NoPostgres extends Data.TaggedError("NoPostgres")<{ readonly reason: string }> {
  override get message(): string {
    return this.reason
  }
}

export interface Postgres {
  /** How to connect. */
  readonly config: PgClient.PgClientConfig
  /** Starts and stops the server. `undefined` where it is somebody else's. */
  readonly server: Server | undefined
}

export interface Server {
  readonly start: Effect.Effect<void>
  /** `fast` ends all sessions, `immediate` is a crash. */
  readonly stop: (mode: "fast" | "immediate") => Effect.Effect<void>
}

/** The server that RESILIENCE_PG_URL names, or one that is started now and gone when the scope closes. */
export const postgres: Effect.Effect<Postgres, NoPostgres, Scope.Scope> = Effect.suspend(() => {
  const reason = missing()
  if (reason !== undefined) return Effect.fail(new NoPostgres({ reason }))
  const url = givenUrl()
  return url === undefined ? own : Effect.succeed({ config: { url: Redacted.make(url) }, server: undefined })
})

/** Why no PostgreSQL can be had here, if that is so. */
export const missing = (): string | undefined => {
  const url = givenUrl()
  if (url === "off") return "RESILIENCE_PG_URL is off"
  if (url !== undefined) return undefined
  if (programs() === undefined) return "PostgreSQL is not installed, and RESILIENCE_PG_URL is not set"
  if (account() === undefined)
    return "PostgreSQL does not run as root, there is no user postgres, and RESILIENCE_PG_URL is not set"
  return undefined
}

/** Whether the server is one that is started here, and may be stopped. */
export const isOwn = (): boolean => missing() === undefined && givenUrl() === undefined

const givenUrl = (): string | undefined => process.env["RESILIENCE_PG_URL"] || undefined

/** Where initdb and postgres are: on the PATH, or where Debian, Red Hat and Homebrew put them; of several the newest. */
const programs = (): string | undefined =>
  [
    ...(process.env["PATH"] ?? "").split(delimiter),
    ...[
      "/usr/lib/postgresql/*/bin",
      "/usr/pgsql-*/bin",
      "/opt/homebrew/opt/postgresql*/bin",
      "/usr/local/opt/postgresql*/bin"
    ].flatMap((pattern) => globSync(pattern).toSorted((a, b) => b.localeCompare(a, "en", { numeric: true })))
  ].find((directory) => isProgram(join(directory, "initdb")) && isProgram(join(directory, "postgres")))

const isProgram = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

interface Account {
  readonly uid?: number
  readonly gid?: number
}

/** As whom to run it: PostgreSQL refuses root. */
const account = (): Account | undefined => {
  if (process.getuid?.() !== 0) return {}
  try {
    const [uid, gid] = ["-u", "-g"].map((flag) => Number(execFileSync("id", [flag, "postgres"], { stdio: "pipe" })))
    return { uid: uid!, gid: gid! }
  } catch {
    return undefined
  }
}

const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, "close")
  return port
}

const own: Effect.Effect<Postgres, never, Scope.Scope> = Effect.gen(function* () {
  const bin = programs()!
  const user = account()!
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "resilience-pg-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  if (user.uid !== undefined) chownSync(directory, user.uid, user.gid!)
  const data = join(directory, "data")
  const options = { ...user, cwd: directory, env: { PATH: process.env["PATH"], LC_ALL: "C" } }
  yield* Effect.promise(() =>
    promisify(execFile)(
      join(bin, "initdb"),
      ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
      options
    )
  )
  const port = yield* Effect.promise(freePort)
  const settings = ["listen_addresses=127.0.0.1", "fsync=off", "deadlock_timeout=50ms", "logging_collector=off"]
  const args = ["-D", data, "-p", `${port}`, "-k", directory, ...settings.flatMap((setting) => ["-c", setting])]
  const server = new Process(() =>
    spawn(join(bin, "postgres"), args, { ...options, stdio: ["ignore", "ignore", "pipe"] })
  )
  yield* Effect.acquireRelease(
    Effect.promise(() => server.start()),
    () => Effect.promise(() => server.stop("SIGQUIT"))
  )
  return {
    config: { host: "127.0.0.1", port, username: "postgres", database: "postgres" },
    server: {
      start: Effect.promise(() => server.start()),
      stop: (mode) => Effect.promise(() => server.stop(mode === "fast" ? "SIGINT" : "SIGQUIT"))
    }
  }
})

/** A server process that ends with this one. */
class Process {
  readonly #spawn: () => ChildProcess
  #child: ChildProcess | undefined = undefined

  constructor(spawn: () => ChildProcess) {
    this.#spawn = spawn
  }

  /** Resolves when the server accepts connections. */
  start(): Promise<void> {
    const child = (this.#child = this.#spawn())
    process.once("exit", this.#kill)
    let log = ""
    return new Promise((resolve, reject) => {
      child.stderr!.setEncoding("utf8").on("data", (text: string) => {
        log = (log + text).slice(-10_000)
        if (log.includes("ready to accept connections")) resolve()
      })
      child.once("exit", () => reject(new Error(`PostgreSQL did not start:\n${log}`)))
      child.once("error", reject)
    })
  }

  /** Resolves when the server is gone. */
  async stop(signal: "SIGINT" | "SIGQUIT"): Promise<void> {
    const child = this.#child
    this.#child = undefined
    process.removeListener("exit", this.#kill)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, "exit")
    child.kill(signal)
    await gone
  }

  readonly #kill = () => void this.#child?.kill("SIGQUIT")
}
