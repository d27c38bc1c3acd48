// A server that speaks as much HTTP/1.1 as it must, so that a test has every byte of it in its hand, and counts what comes.
import { Effect, type Scope } from "effect"
import * as net from "node:net"

export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** As it came, with the sizes of its chunks if it has any. */
  readonly body: string
}

export interface Wire {
  readonly port: number
  readonly url: string
  /** Read to their last byte, in their order. */
  readonly requests: ReadonlyArray<Received>
  /** How many connections there have been. */
  readonly connections: () => number
  /** How many of those that have brought anything are still open. (Node's `fetch` keeps empty ones in stock.) */
  readonly open: () => number
}

/** What to do with the n-th request, from 1 on. */
export type Act = (socket: net.Socket, n: number, request: Received) => void

/** A server on loopback that goes with the scope, and takes its connections along. `onSocket` sees a connection before any byte. */
export const wire = (
  act: Act,
  onSocket: ((socket: net.Socket, n: number) => void) | undefined = undefined
): Effect.Effect<Wire, never, Scope.Scope> =>
  Effect.callback<Wire & { readonly close: () => void }>((resume) => {
    const sockets = new Set<net.Socket>()
    const requests: Array<Received> = []
    let connections = 0
    const server = net.createServer({ pauseOnConnect: onSocket !== undefined }, (socket) => {
      sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)))
      connections++
      onSocket?.(socket, connections)
      let text = ""
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1")
        for (let found = parsed(text); found !== undefined; found = parsed(text)) {
          text = text.slice(found.length)
          act(socket, requests.push(found.request), found.request)
        }
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo
      resume(
        Effect.succeed({
          port,
          url: `http://127.0.0.1:${port}/`,
          requests,
          connections: () => connections,
          open: () => [...sockets].filter((socket) => socket.bytesRead > 0).length,
          close: () => {
            server.close()
            for (const socket of sockets) socket.destroy()
          }
        })
      )
    })
  }).pipe((server) => Effect.acquireRelease(server, ({ close }) => Effect.sync(close)))

/** The first request of the text, if it is all there. */
const parsed = (text: string): { readonly request: Received; readonly length: number } | undefined => {
  const end = text.indexOf("\r\n\r\n")
  if (end < 0) return undefined
  const [first = "", ...lines] = text.slice(0, end).split("\r\n")
  const [method = "", path = ""] = first.split(" ")
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()])
  )
  const start = end + 4
  const length =
    headers["transfer-encoding"] === "chunked"
      ? lengthOfChunks(text, start)
      : start + Number(headers["content-length"] ?? 0)
  if (length === undefined || text.length < length) return undefined
  return { request: { method, path, headers, body: text.slice(start, length) }, length }
}

/** Where the chunks that begin at `start` end, if they are all there. */
const lengthOfChunks = (text: string, start: number): number | undefined => {
  for (let at = start; ;) {
    const line = text.indexOf("\r\n", at)
    if (line < 0) return undefined
    const size = Number.parseInt(text.slice(at, line), 16)
    at = line + 2 + size + 2
    if (size === 0) return at
  }
}

/** A whole response, after which the connection stays. */
export const response = (status: number, headers: Record<string, string> = {}, body: string | Buffer = ""): Buffer =>
  Buffer.concat([
    Buffer.from(
      [
        `HTTP/1.1 ${status} So`,
        ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
        `content-length: ${Buffer.byteLength(body)}`,
        "",
        ""
      ].join("\r\n")
    ),
    Buffer.from(body)
  ])

/** A port on which nobody listens. */
export const closedPort: Effect.Effect<number> = Effect.scoped(
  Effect.map(
    wire(() => {}),
    ({ port }) => port
  )
)
