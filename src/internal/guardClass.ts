// What the service classes of all guards have in common: layers from options, `protect`, snapshots.
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect"
import * as Fault from "../Fault.ts"
import type { Guard } from "../Guard.ts"
import { ofExit } from "./outcome.ts"
import { keysOf } from "./perKey.ts"
import type { Keys, KeysOptions } from "./perKey.ts"
import { protect as protectWith } from "./protect.ts"
import { naming } from "./validate.ts"

/** The value of a guard's service: a guard that can be read. */
export interface Readable<out Rejection, out Snapshot> extends Guard<Rejection> {
  readonly keyed: boolean
  /** Reading changes nothing: a key that is not in memory reads as a new one. Needs the key, if the guard is keyed. */
  readonly snapshot: (key?: string | undefined) => Effect.Effect<Snapshot>
  /** One for each key in memory; a guard that is not keyed has exactly one. */
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
}

/** How to call a guard without a policy. */
export interface ProtectOptions {
  /** Which of its keys; ignored by a guard that is not keyed. */
  readonly key?: string | undefined
  /** Tells failures that concern the dependency's health from others. By default `Fault.auto`. */
  readonly faults?: Fault.Classifier | undefined
}

type ProtectArgs<Keyed> = Keyed extends true
  ? [options: ProtectOptions & { readonly key: string }]
  : [options?: ProtectOptions | undefined]

export type KeyArgs<Keyed> = Keyed extends true ? [key: string] : [key?: string | undefined]

/** A class without keys cannot be given any: callers would not say one. */
export type KeysChange<Keyed extends boolean> = Keyed extends false ? never : KeysOptions

export interface GuardClass<
  Self,
  Id extends string,
  Keyed extends boolean,
  Value extends Guard<Rejection>,
  Rejection,
  Snapshot,
  Change
> extends Context.ServiceClass<Self, Id, Value> {
  /** Whether a call must say a key; `boolean` if `keys` was possibly `undefined`. */
  readonly keyed: Keyed
  /** The guard as the class describes it. Building it dies with `InvalidOption` if an option is wrong. */
  readonly layer: Layer.Layer<Self>
  /** The guard with other options: for a test, or a deployment. */
  readonly layerWith: (change: Change) => Layer.Layer<Self>
  /** The same, from the configuration: every option may be a `Config` of it. */
  readonly layerConfig: (change: Config.Wrap<Change>) => Layer.Layer<Self, Config.ConfigError>
  /**
   * Puts the guard alone around an effect: each run asks for admission, fails with the guard's error if it is refused, and tells
   * the guard how it ended otherwise. Around a `withResilience` it guards the whole call, with its retries and its waiting; as one
   * of a policy's `guards` it guards each attempt.
   */
  readonly protect: {
    (
      ...options: ProtectArgs<Keyed>
    ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Rejection, R | Self>
    <A, E, R>(self: Effect.Effect<A, E, R>, ...options: ProtectArgs<Keyed>): Effect.Effect<A, E | Rejection, R | Self>
  }
  /** Reading changes nothing: a key that is not in memory reads as a new one. */
  readonly snapshot: (...key: KeyArgs<Keyed>) => Effect.Effect<Snapshot, never, Self>
  /** One for each key in memory; a guard that is not keyed has exactly one. */
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>, never, Self>
}

/** The members that are there; where several have one, the last. */
export const over = <O extends object>(...layers: ReadonlyArray<object | undefined>): O => {
  const result: Record<string, unknown> = {}
  for (const [name, value] of layers.flatMap((layer) => Object.entries(layer ?? {}))) {
    if (value !== undefined) result[name] = value
  }
  return result as O
}

interface Keyable {
  readonly keys?: KeysOptions | undefined
}

/** The members of a guard's class that every guard has. */
export const guardClass = <Self, Value extends Readable<unknown, unknown>>() => {
  return <Own extends Keyable, Change extends Keyable, R = never>(
    id: string,
    own: Own,
    /** `keys` are checked, and have their defaults. */
    make: (id: string, own: Own, change: Change, keys: Keys | undefined) => Effect.Effect<Value, never, R | Scope.Scope>
  ) => {
    const Tag = Context.Service<Self, Value>()(id)
    const keyed = own.keys !== undefined
    const layerWith = (change: Change): Layer.Layer<Self, never, Exclude<R, Scope.Scope>> =>
      Layer.effect(Tag)(
        Effect.catchDefect(
          Effect.suspend(() => make(id, own, change, keysOf(own.keys, change.keys))),
          (defect) => Effect.die(naming(id, defect))
        )
      )
    const protect = (self: Effect.Effect<unknown, unknown, unknown>, options: ProtectOptions | undefined) =>
      Effect.flatMap(Tag, (guard) => {
        const classifier = options?.faults ?? Fault.auto
        const key = keyed ? options?.key : undefined
        return protectWith({ name: id, guard, key, outcome: (exit) => ofExit(exit, classifier) })(self)
      })
    return Object.assign(Tag, {
      keyed,
      layer: layerWith({} as Change),
      layerWith,
      layerConfig: (change: Config.Wrap<Change>) => Layer.unwrap(Effect.map(Config.unwrap<Change>(change), layerWith)),
      protect: (first?: unknown, second?: ProtectOptions | undefined) =>
        Effect.isEffect(first)
          ? protect(first, second)
          : (self: Effect.Effect<unknown, unknown, unknown>) => protect(self, first as ProtectOptions | undefined),
      snapshot: (key?: string | undefined) => Tag.use((guard) => guard.snapshot(key)),
      snapshots: Tag.use((guard) => guard.snapshots)
    })
  }
}
