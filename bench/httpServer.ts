// Answers every request with a small body, as fast as Node can: the other end of the cases of HTTP, in a process of its own.
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const body = '{"eur":1.08}'
const headers = { "content-type": "application/json", "content-length": body.length }

const server = createServer((_request, response) => response.writeHead(200, headers).end(body))
server.listen(0, "127.0.0.1", () => process.send!((server.address() as AddressInfo).port))
process.on("disconnect", () => process.exit(0))
