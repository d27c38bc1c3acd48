/**
 * The options of `Http.resilient`, checked.
 */
import * as Effect from "effect/Effect"
import type { HttpClientRequest } from "effect/http/HttpClientRequest"
import * as Deadline from "../Deadline.ts"
import type { CallOptions, Plan } from "../internal/plan.ts"
import { planOf } from "../internal/policy.ts"
import { invalid } from "../internal/validate.ts"
import { judging, type Manner } from "./attempt.ts"
import { faults } from "./classify.ts"
import type { Options } from "./client.ts"
import { isFieldName } from "./grammar.ts"
import { origins } from "./request.ts"
import { isError } from "./status.ts"

export interface Settings extends Manner {
  /** With an idempotency key for each call, and without. */
  readonly minting: Plan | undefined
  readonly plain: Plan
  /** Whether the policy allows a second request at all. */
  readonly repeats: boolean
  readonly key: (request: HttpClientRequest) => CallOptions["key"]
}

const at = (option: string): string => `Http.resilient: ${option}`

const known: ReadonlySet<string> = new Set<keyof Options>([
  "isFailure",
  "key",
  "deadline",
  "attemptHeader",
  "idempotencyKey",
  "readBody"
])

export const settingsOf = (policy: unknown, options: unknown = {}): Settings => {
  const given = planOf(policy, at("policy"))
  if (typeof options !== "object" || options === null) invalid(at("options"), options, "an object")
  for (const option of Object.keys(options as object)) {
    if (!known.has(option)) invalid(at(option), option, `one of the options ${[...known].join(", ")}`)
  }
  const {
    attemptHeader = "x-envoy-attempt-count",
    deadline = Deadline.grpcTimeout,
    idempotencyKey = "structured",
    isFailure = isError,
    key = origins(),
    readBody = false
  } = options as Options
  if (typeof isFailure !== "function") invalid(at("isFailure"), isFailure, "a function from a response to a boolean")
  if (typeof key !== "function")
    invalid(at("key"), key, "a function from a request to a key, or to one for each service")
  if (typeof readBody !== "boolean") invalid(at("readBody"), readBody, "true or false")
  if (idempotencyKey !== "structured" && idempotencyKey !== "bare") {
    invalid(at("idempotencyKey"), idempotencyKey, '"structured" or "bare"')
  }
  if (attemptHeader !== false) fieldName("attemptHeader", attemptHeader)
  const codec = deadline === false ? undefined : codecOf(deadline)
  const isBare = idempotencyKey === "bare"
  const classified = given.said.faults === undefined ? { ...given, classifier: faults } : given
  return {
    minting: classified.keyed && classified.mint !== undefined ? sendable(classified, isBare) : undefined,
    plain: { ...classified, keyed: false, mint: undefined },
    repeats: given.repeatable,
    key,
    codec,
    deadlineHeader: codec?.header.toLowerCase() ?? "",
    attemptHeader: attemptHeader === false ? undefined : attemptHeader.toLowerCase(),
    isBare,
    judge: judging(isFailure, readBody)
  }
}

const fieldName = (option: string, value: unknown): void => {
  if (typeof value !== "string" || !isFieldName(value)) {
    invalid(at(option), value, "the name of a header (RFC 9110 §5.1): letters, digits and !#$%&'*+-.^_`|~")
  }
}

const codecOf = (codec: Deadline.Codec): Deadline.Codec => {
  if (typeof codec?.encode !== "function" || typeof codec.decode !== "function") {
    invalid(
      at("deadline"),
      codec,
      "a Deadline.Codec ({ header, encode, decode }), such as Deadline.grpcTimeout, or false"
    )
  }
  fieldName("deadline.header", codec.header)
  return codec
}

/** The plan, whose keys fit into a header. Others are refused where they are minted, before anything is sent. */
const sendable = (plan: Plan, isBare: boolean): Plan => {
  const [pattern, allowed] = isBare
    ? [/^[!-~]*$/, "visible ASCII without spaces, as it is sent bare"]
    : [/^[ -~]*$/, "printable ASCII, as it is sent in a header"]
  const checked = (key: string): string =>
    pattern.test(key) ? key : invalid(`the idempotency key minted for ${plan.name}`, key, allowed)
  return { ...plan, mint: Effect.map(plan.mint!, checked) }
}
