/**
 * A request whose body has been read already, for whoever comes after: the body of a request can be taken from the wire but once.
 */
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"

const readers = ["arrayBuffer", "text", "json", "urlParamsBody", "stream", "multipart", "multipartStream"] as const

/** The request, but for its body, which is `bytes` however it is read, and however often. */
export const rereadRequest = (
  request: HttpServerRequest.HttpServerRequest,
  bytes: ArrayBuffer
): HttpServerRequest.HttpServerRequest => {
  const held = HttpServerRequest.fromClientRequest(
    HttpClientRequest.post("/").pipe(
      HttpClientRequest.bodyUint8Array(new Uint8Array(bytes), request.headers["content-type"])
    )
  )
  const modify: HttpServerRequest.HttpServerRequest["modify"] = (options) =>
    rereadRequest(request.modify(options), bytes)
  return Object.create(request, {
    ...Object.fromEntries(readers.map((name) => [name, { get: () => held[name] }])),
    modify: { value: modify }
  })
}
