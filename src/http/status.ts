/**
 * The verdict on a response: by its status, and by what its header says of a retry.
 *
 * @since 0.1.0
 */
import type * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import type * as Fault from "../Fault.ts"
import { retryAfter, shouldRetry } from "./retryAfter.ts"

/**
 * What of a response a verdict needs; an `HttpClientResponse` is one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly status: number
  readonly headers: Headers.Headers
}

type Meaning = Omit<Fault.Verdict, "retryAfter">

/** Where a status means something else than its class does. */
const meanings: Readonly<Record<number, Meaning>> = {
  408: { kind: "transient" },
  // the server would not take the risk of processing it (RFC 8470 §5.2), and is well
  425: { kind: "transient", unprocessed: true, health: "ok" },
  // limits are checked before anything is done
  429: { kind: "throttled", unprocessed: true },
  501: { kind: "permanent" },
  505: { kind: "permanent" },
  // a network on the way wants a login: the server was not reached
  511: { kind: "permanent", health: "ignored" }
}

/** Of no class at all is one that no server may send, such as the 000 that Node's parser takes. */
export const isError = ({ status }: Pick<Answer, "status">): boolean => !(status >= 100 && status < 400)

const meaningOf = (status: number): Meaning => {
  // RFC 9110 §15: an unknown status is the x00 of its class, and one outside of all classes a 5xx
  return meanings[status] ?? (status >= 400 && status < 500 ? { kind: "permanent" } : { kind: "transient" })
}

/** Header fields that say that the request was turned away before anything was done for it, by their presence. */
const turnedAway = [
  // Finagle: "not processed by the server"
  "finagle-http-nack",
  "finagle-http-nonretryable-nack",
  // Envoy: dropped by a circuit breaker, in maintenance or by the overload manager
  "x-envoy-overloaded",
  "x-envoy-local-overloaded"
]

/**
 * The verdict on a response at `nowMillis` (milliseconds since the epoch), and none for a status from 100 to 399. Pure.
 *
 * | status | verdict |
 * |---|---|
 * | 408, 500, 502, 504, any unknown 5xx, any outside of 100 to 599 | transient |
 * | 425 | transient and unprocessed; the server is well (RFC 8470) |
 * | 429 | throttled and unprocessed |
 * | 503 | transient; throttled if it says when to come back |
 * | 501, 505, 511, any other 4xx | permanent |
 *
 * {@link retryAfter} goes with every verdict that may be retried. A 503 with `finagle-http-nack`, `finagle-http-nonretryable-nack`,
 * `x-envoy-overloaded` or `x-envoy-local-overloaded` was turned away, and is unprocessed. What
 * {@link shouldRetry} says overrules the status: "no" makes it permanent, "yes" makes a permanent one transient.
 *
 * @since 0.1.0
 * @category verdicts
 */
export const responseVerdict = (response: Answer, nowMillis: number): Fault.Verdict | undefined => {
  const { headers, status } = response
  if (!isError(response)) return undefined
  const meaning = meaningOf(status)
  const hint = Option.getOrUndefined(retryAfter(headers, nowMillis))
  const kind = kindOf(meaning.kind, Option.getOrUndefined(shouldRetry(headers)), status === 503 && hint !== undefined)
  return {
    kind,
    retryAfter: kind === "permanent" ? undefined : hint,
    unprocessed:
      meaning.unprocessed ?? (status === 503 && turnedAway.some((name) => name in headers) ? true : undefined),
    // whether it is retried changes nothing about what the status says of the server
    health: meaning.health ?? (kind === "throttled" || kind === meaning.kind ? undefined : healthOf[meaning.kind])
  }
}

const kindOf = (kind: Fault.Kind, said: boolean | undefined, patient: boolean): Fault.Kind => {
  if (said === false) return "permanent"
  if (kind === "permanent") return said === true ? "transient" : "permanent"
  return patient ? "throttled" : kind
}

/** What a kind says of the server by default. */
const healthOf = { transient: "failed", throttled: "ignored", permanent: "ok" } as const
