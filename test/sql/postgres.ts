// A real PostgreSQL for tests: one that is started for them, or the one of RESILIENCE_PG_URL, in a schema that goes with them.
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Socket } from "node:net"
import { describe } from "vitest"
import { isOwn, missing, postgres, type Server } from "../../examples/support/postgres.ts"

const reason = missing()

/** Tests that need PostgreSQL. Where there is none they are skipped, and say why. */
export const withPostgres = (name: string, define: () => void): void => {
  if (reason === undefined) describe(name, define)
  else {
    // vitest tells by itself only how many are skipped
    console.warn(`skipped: ${name}: ${reason}`)
    describe.skip(`${name} (skipped: ${reason})`, define)
  }
}

/** Not with the server of RESILIENCE_PG_URL: the test stops it, goes through a proxy, or makes roles. */
export const needsOwnServer = !isOwn()

/** The server, seen from outside of the client that is tested. */
export class Database extends Context.Service<
  Database,
  {
    readonly config: PgClient.PgPoolConfig
    /** Of a session of its own. */
    readonly admin: PgClient.PgClient
    readonly server: Server | undefined
  }
>()("test/Database") {}

/** A client of its own. */
export const client = (config: PgClient.PgPoolConfig) => Effect.provide(PgClient.make(config), Reactivity.layer)

export const layerDatabase = Layer.effect(
  Database,
  Effect.gen(function* () {
    const { config: connection, server } = yield* postgres
    const schema = `resilience_test_${process.pid}`
    const config = { ...connection, startupParameters: { search_path: schema }, maxConnections: 8 }
    yield* Effect.acquireRelease(
      inSession(config, (sql) => sql`CREATE SCHEMA ${sql(schema)}`),
      () => Effect.ignore(inSession(config, (sql) => sql`DROP SCHEMA ${sql(schema)} CASCADE`))
    )
    return { config, admin: yield* client({ ...config, maxConnections: 1 }), server }
  })
)

/** In a session of its own, because a scope that closes lets nobody connect. */
const inSession = <A, E>(config: PgClient.PgPoolConfig, run: (sql: PgClient.PgClient) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(client(config), run))

/** The client that is tested, and the database behind it. */
export const layer = Layer.unwrap(Effect.map(Database, ({ config }) => PgClient.layer(config))).pipe(
  Layer.provideMerge(layerDatabase),
  Layer.orDie
)

/**
 * A way to the server that can be cut: `cut` decides by what the client sends, and then the connection is lost as soon as the
 * server has answered, and before the client hears of it.
 */
export const proxy = Effect.fnUntraced(function* (port: number, cut: (sent: string) => boolean) {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1")
    let isCut = false
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => {
        near.destroy()
        far.destroy()
      })
    }
    near.on("data", (data) => {
      isCut ||= cut(data.toString("latin1"))
      far.write(data)
    })
    far.on("data", (data) => (isCut ? near.destroy() : near.write(data)))
  })
  yield* Effect.acquireRelease(
    Effect.promise(async () => once(server.listen(0, "127.0.0.1"), "listening")),
    () =>
      Effect.promise(async () => {
        for (const socket of sockets) socket.destroy()
        await once(server.close(), "close")
      })
  )
  return (server.address() as AddressInfo).port
})
