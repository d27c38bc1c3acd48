// A server of quotes on loopback that has a bad day.
import { Effect, type Scope } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const status =
  (code: number, text: string, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(code, headers).end(text)

const cut: Answer = (request) => request.socket.resetAndDestroy()

/** What the first requests get, and all that follow the last of them. */
const answers: Readonly<Record<string, ReadonlyArray<Answer>>> = {
  "GET /quotes/EUR": [status(503, "starting"), cut, status(200, "1.08")],
  "GET /quotes/GBP": [status(429, "", { "retry-after-ms": "150" }), status(200, "0.85")],
  "GET /quotes/ZZZ": [status(404, "there is no symbol ZZZ")],
  "POST /orders": [cut]
}

/** Its origin. It says what it is asked for, and goes with the scope. */
export const flakyServer: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<{ readonly origin: string; readonly close: () => void }>((resume) => {
    const asked = new Map<string, number>()
    const server = createServer((request, response) => {
      const what = `${request.method} ${request.url}`
      const time = asked.get(what) ?? 0
      asked.set(what, time + 1)
      console.log(`  server: attempt ${request.headers["x-envoy-attempt-count"]}: ${what}`)
      const all = answers[what] ?? [status(404, "")]
      all[Math.min(time, all.length - 1)]!(request, response)
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(
        Effect.succeed({
          origin: `http://127.0.0.1:${port}`,
          close: () => {
            server.close()
            server.closeAllConnections()
          }
        })
      )
    })
  }),
  ({ close }) => Effect.sync(close)
).pipe(Effect.map(({ origin }) => origin))
