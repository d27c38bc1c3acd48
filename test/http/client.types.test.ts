// Checked by tsc: `errorIs` and `servicesAre` take no further argument exactly when the type is the one expected, so that a wrong
// type does not compile. vitest runs it too, so that everything here is also accepted at run time.
import { assert, describe, it } from "@effect/vitest"
import { Context, Data, Effect, type Duration, Schedule } from "effect"
import { HttpClient, type HttpClientError, type HttpClientResponse } from "effect/http"
import { Backoff, CircuitBreaker, Deadline, Fault, Idempotency, Policy, RetryBudget } from "effect-resilience"
import * as Http from "../../src/http/index.ts"
import { fake, status } from "./fake.ts"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

type Wrong<Expected, Actual> = [{ readonly expected: Expected; readonly actual: Actual }]

type ErrorOf<C> = C extends HttpClient.HttpClient.With<infer E, infer _R> ? E : "no client"
type ServicesOf<C> = C extends HttpClient.HttpClient.With<infer _E, infer R> ? R : "no client"

const errorIs =
  <Expected>() =>
  <C>(_: C, ..._ok: Equal<ErrorOf<C>, Expected> extends true ? [] : Wrong<Expected, ErrorOf<C>>): void => {}

const servicesAre =
  <Expected>() =>
  <C>(_: C, ..._ok: Equal<ServicesOf<C>, Expected> extends true ? [] : Wrong<Expected, ServicesOf<C>>): void => {}

type Failed = HttpClientError.HttpClientError

class Denied extends Data.TaggedError("Denied") {}
class Tenant extends Context.Service<Tenant, string>()("test/http/types/Tenant") {}

const trip = CircuitBreaker.consecutiveFailures(5)
class Breaker extends CircuitBreaker.Service<Breaker>()("test/http/types/Breaker", { trip }) {}
class Keyed extends CircuitBreaker.Service<Keyed>()("test/http/types/Keyed", { trip, keys: { max: 10 } }) {}
class Budget extends RetryBudget.Service<Budget>()("test/http/types/Budget", RetryBudget.ratio()) {}
class Standard extends Policy.Standard<Standard>()("test/http/types/Standard", { safety: "idempotent" }) {}

const once = Schedule.recurs(1)
const sometimes = (): boolean => Date.now() > 0
const { client } = fake(status(200))
/** A client that needs a service, and fails in a way of its own. */
const needy = HttpClient.mapRequestEffect(client, (request) =>
  Effect.flatMap(Tenant, (tenant) => (tenant === "" ? Effect.fail(new Denied()) : Effect.succeed(request)))
)

const retrying = Policy.make({ name: "p", safety: "idempotent", retry: once })

describe("what comes out", () => {
  it("of a policy that retries: permanent failures as they are, all others in RetryExhausted", () => {
    const first = Http.resilient(client, retrying)
    errorIs<Failed | Policy.RetryExhausted<Failed>>()(first)
    const options = Http.resilient(client, retrying, { readBody: true })
    errorIs<Failed | Policy.RetryExhausted<Failed>>()(options)
    errorIs<Failed | Policy.RetryExhausted<Failed>>()(client.pipe(Http.resilient(retrying)))
    errorIs<Failed | Policy.RetryExhausted<Failed>>()(client.pipe(Http.resilient(retrying, { readBody: true })))
  })

  it("of one that does not", () => {
    errorIs<Failed>()(client.pipe(Http.resilient(Policy.make({ name: "p" }))))
    errorIs<Failed | Deadline.DeadlineExceeded>()(
      client.pipe(Http.resilient(Policy.make({ name: "p", deadline: "1 second" })))
    )
  })

  it("of timeouts, deadlines and guards", () => {
    const policy = Policy.extend(retrying, {
      name: "p",
      attemptTimeout: "1 second",
      deadline: "3 seconds",
      budget: Budget,
      guards: [Breaker, Keyed]
    })
    errorIs<
      | Failed
      | Policy.RetryExhausted<Failed | Policy.AttemptTimeout>
      | Deadline.DeadlineExceeded
      | CircuitBreaker.CircuitOpen
    >()(client.pipe(Http.resilient(policy)))
  })

  it("of a standard policy", () => {
    errorIs<
      | Failed
      | Policy.RetryExhausted<Failed | Policy.AttemptTimeout>
      | Deadline.DeadlineExceeded
      | CircuitBreaker.CircuitOpen
    >()(client.pipe(Http.resilient(Standard)))
    servicesAre<Standard>()(client.pipe(Http.resilient(Standard)))
  })

  it("of a client that fails in a way of its own: nobody says that it is transient", () => {
    errorIs<Failed | Denied | Policy.RetryExhausted<Failed>>()(needy.pipe(Http.resilient(retrying)))
  })

  it("of a policy's own faults", () => {
    const faults = Fault.tags({ transient: ["HttpClientError"] })
    errorIs<Denied | Policy.RetryExhausted<Failed>>()(
      needy.pipe(Http.resilient(Policy.extend(retrying, { name: "p", faults })))
    )
  })

  it("not by a schedule that does not accept it", () => {
    const accepting = <E>() =>
      once.pipe(Backoff.honorRetryAfter<E>({ ceiling: "1 minute", of: () => undefined }), Backoff.times(1))
    const narrow = Policy.extend(retrying, { name: "p", retry: accepting<Denied>() })
    // @ts-expect-error it is given HttpClientError
    client.pipe(Http.resilient(narrow))
    // @ts-expect-error as it is here
    Http.resilient(client, narrow)
    const wide = Policy.extend(retrying, { name: "p", retry: accepting<Failed>() })
    errorIs<Failed | Denied | Policy.RetryExhausted<Failed>>()(needy.pipe(Http.resilient(wide)))
    const wrap = <E, R>(client: HttpClient.HttpClient.With<E, R>) => client.pipe(Http.resilient(retrying))
    errorIs<Failed | Denied | Policy.RetryExhausted<Failed>>()(wrap(needy))
  })

  it("of faults that may be undefined: what either lets out", () => {
    const faults: Fault.Classifier | undefined = undefined
    errorIs<Failed | Policy.RetryExhausted<Failed>>()(
      client.pipe(Http.resilient(Policy.make({ name: "p", safety: "idempotent", retry: once, faults })))
    )
    const tags = Fault.tags({ transient: ["Denied"] })
    const perhaps = sometimes() ? tags : undefined
    errorIs<Failed | Denied | Policy.RetryExhausted<Failed | Denied>>()(
      needy.pipe(Http.resilient(Policy.make({ name: "p", safety: "idempotent", retry: once, faults: perhaps })))
    )
  })

  it("of a policy chosen at run time: what either lets out", () => {
    const policy = sometimes() ? retrying : Policy.make({ name: "p", deadline: "1 second" })
    errorIs<Failed | Policy.RetryExhausted<Failed> | Deadline.DeadlineExceeded>()(client.pipe(Http.resilient(policy)))
  })
})

describe("what it needs", () => {
  it("the client's services, and those of the policy", () => {
    servicesAre<never>()(client.pipe(Http.resilient(retrying)))
    servicesAre<Tenant>()(needy.pipe(Http.resilient(retrying)))
    const policy = Policy.extend(retrying, { name: "p", budget: Budget, guards: [Breaker, Keyed] })
    servicesAre<Tenant | Budget | Breaker | Keyed>()(needy.pipe(Http.resilient(policy)))
    const first = Http.resilient(needy, policy)
    servicesAre<Tenant | Budget | Breaker | Keyed>()(first)
  })

  it("a client that asks for a key is not given one: it is the request that has it, where it has one at all", () => {
    const keyed = HttpClient.mapRequestEffect(client, (request) => Effect.as(Idempotency.Key, request))
    const policy = Policy.extend(retrying, { name: "p", safety: Idempotency.key(Idempotency.uuid) })
    servicesAre<Idempotency.Key>()(keyed.pipe(Http.resilient(policy)))
    servicesAre<never>()(client.pipe(Http.resilient(policy)))
  })

  it("without them, a call does not run", () => {
    const call = Http.resilient(needy, retrying).get("http://quotes.example")
    // @ts-expect-error: Tenant is missing
    const wrong = () => Effect.runPromise(call)
    const right = () => Effect.runPromise(Effect.provideService(call, Tenant, "a"))
    assert.isFunction(wrong)
    assert.isFunction(right)
  })
})

describe("options", () => {
  it("those that there are", () => {
    const key = "a" as string | undefined
    const options: Http.Options = {
      isFailure: (response: HttpClientResponse.HttpClientResponse) => response.status > 400,
      key: (request) => ({ "test/http/types/Keyed": key ?? request.url }),
      deadline: sometimes() ? Deadline.envoyTimeout : false,
      attemptHeader: sometimes() ? "x-attempt" : undefined,
      idempotencyKey: "bare",
      readBody: sometimes() ? true : undefined
    }
    assert.isTrue(HttpClient.isHttpClient(Http.resilient(client, retrying, options)))
  })

  it("of another name, or another kind, do not compile", () => {
    const wrongs = [
      // @ts-expect-error: misspelt
      () => Http.resilient(client, retrying, { readbody: true }),
      // @ts-expect-error: misspelt
      () => Http.resilient(retrying, { attemptheader: "x-attempt" }),
      // @ts-expect-error: true says nothing
      () => Http.resilient(client, retrying, { deadline: true }),
      // @ts-expect-error: neither of the two
      () => Http.resilient(client, retrying, { idempotencyKey: "plain" }),
      // @ts-expect-error: a policy, not its options
      () => Http.resilient(client, { name: "p" }),
      // @ts-expect-error: what takes the place of the client is none
      () => Http.resilient({}, retrying),
      // @ts-expect-error: a codec, not its name
      () => Http.resilient(client, retrying, { deadline: "grpc-timeout" })
    ]
    assert.strictEqual(wrongs.length, 7)
  })

  it("a codec of one's own", () => {
    const codec: Deadline.Codec = {
      header: "x-left",
      encode: (left: Duration.Duration) => String(left),
      decode: Deadline.grpcTimeout.decode
    }
    assert.isTrue(HttpClient.isHttpClient(Http.resilient(client, retrying, { deadline: codec })))
  })
})
