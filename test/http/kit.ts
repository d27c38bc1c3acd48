// What the tests of the HTTP adapter share.
import { HttpClientRequest, HttpClientResponse } from "effect/http"
import type { Fault } from "effect-resilience"

/** A verdict, without what it does not say. */
export const said = (verdict: Fault.Verdict | undefined) =>
  verdict && Object.fromEntries(Object.entries(verdict).filter(([, value]) => value !== undefined))

export const request = HttpClientRequest.get("http://quotes.example/eur")

/** A response that came over no wire. Statuses that the platform's own `Response` does not take are put on afterwards. */
export const respond = (status: number, headers: Record<string, string> = {}): HttpClientResponse.HttpClientResponse =>
  Object.create(HttpClientResponse.fromWeb(request, new Response(null, { headers })), { status: { value: status } })
