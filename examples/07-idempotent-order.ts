// "Create order" is not safe to repeat: when the connection is cut, nobody knows whether the order was stored. An idempotency key
// makes it safe: the service remembers the key, and answers a repeated request with the order it has stored already.
//
//   node --conditions=effect-resilience-source examples/07-idempotent-order.ts
import { Console, Context, Data, Effect, Layer, Random } from "effect"
import { Backoff, Fault, Idempotency, Policy, withResilience } from "effect-resilience"

class ConnectionLost extends Data.TaggedError("ConnectionLost")<{}> {}

interface Order {
  readonly id: number
  readonly item: string
}

interface OrdersService {
  readonly create: (item: string, key?: string) => Effect.Effect<Order, ConnectionLost>
  readonly stored: Effect.Effect<ReadonlyArray<Order>>
}

// A service that remembers keys. It stores the first order, and then the connection is cut before the answer is out.
class Orders extends Context.Service<Orders, OrdersService>()("app/Orders") {
  static readonly layer = Layer.sync(Orders, () => {
    const orders: Array<Order> = []
    const byKey = new Map<string, Order>()
    return Orders.of({
      create: Effect.fnUntraced(function* (item: string, key?: string) {
        const known = key === undefined ? undefined : byKey.get(key)
        if (known !== undefined) return known
        const order: Order = { id: orders.length + 1, item }
        orders.push(order)
        if (key !== undefined) byKey.set(key, order)
        if (order.id === 1) return yield* new ConnectionLost()
        return order
      }),
      stored: Effect.sync(() => orders)
    })
  })
}

const faults = Fault.byTag<ConnectionLost>()({ ConnectionLost: "transient" })
const retry = Backoff.constant("5 millis").pipe(Backoff.times(3))

// 1. The honest policy without a key. A lost connection does not prove that nothing was done, so there is no retry.
const carefully = Policy.make({ name: "orders.create", faults, retry, safety: "not-idempotent" })

// 2. A policy that claims what is not true.
const carelessly = Policy.make({ name: "orders.create", faults, retry, safety: "idempotent" })

// 3. A policy with a key, which the caller must say: `withResilience(policy)` without one does not compile.
const withKey = Policy.make({ name: "orders.create", faults, retry, safety: Idempotency.key() })

// 4. A policy that mints a key for each call, once for all of its attempts.
const withMintedKey = Policy.extend(withKey, { name: "orders.import", safety: Idempotency.key(Idempotency.uuid) })

const create = (item: string) => Orders.use((orders) => orders.create(item))

// This one asks for the key. Its type says that it cannot run without one: only a policy with a key takes `Key` out of it.
const createOnce = (item: string): Effect.Effect<Order, ConnectionLost, Orders | Idempotency.Key> =>
  Effect.gen(function* () {
    const orders = yield* Orders
    return yield* orders.create(item, yield* Idempotency.Key)
  })

// The best key is derived from what the user means to do, such as the number of the basket: then it also covers a second press
// of the button.
const buy = (basket: string, item: string): Effect.Effect<Order, Policy.RetryExhausted<ConnectionLost>, Orders> =>
  createOnce(item).pipe(withResilience(withKey, { idempotencyKey: `basket-${basket}` }))

const report = <A, E extends { readonly message: string }, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    yield* self.pipe(
      Effect.matchEffect({
        onSuccess: (answer) => Console.log(`  the client got ${JSON.stringify(answer)}`),
        onFailure: (error) => Console.log(`  the client got an error: ${error.message}`)
      })
    )
    const orders = yield* Orders.use((service) => service.stored)
    yield* Console.log(`  orders stored: ${orders.length}`)
  }).pipe(
    // each story gets a service of its own
    Effect.provide(Orders.layer)
  )

const program = Effect.gen(function* () {
  yield* Console.log("not-idempotent: refused, and somebody has to look")
  yield* create("book").pipe(withResilience(carefully), report)

  yield* Console.log('claimed to be "idempotent": charged twice')
  yield* create("book").pipe(withResilience(carelessly), report)

  yield* Console.log("with a key: the second attempt gets the order that the first has stored")
  yield* buy("7", "book").pipe(report)

  yield* Console.log("with a key, and the button pressed twice")
  yield* Effect.all([buy("7", "book"), buy("7", "book")], { concurrency: 2 }).pipe(report)

  yield* Console.log("with a key minted for each call: two calls are two orders, retries are not")
  const importOne = createOnce("book").pipe(withResilience(withMintedKey))
  yield* Effect.all([importOne, importOne]).pipe(report)
})

await Effect.runPromise(program.pipe(Random.withSeed("orders")))
