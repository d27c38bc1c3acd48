// How several listeners share the one Reference. A Reference holds one value, and merging two layers that provide it keeps
// the last; so every layer that listens registers with a hub, and all of them provide the same hub.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { CurrentListener } from "./events.ts"
import type { Emit, Event } from "./events.ts"

/** Something that hears events. It runs inside the call that it hears, so it must be quick; if it throws, that is counted. */
export interface Listener {
  readonly hear: (event: Event) => void
  /** A listener has thrown, this one or another beside or inside it. */
  readonly failed?: (() => void) | undefined
}

/** The listeners put in force at one place, and whoever listened there already. */
export interface Hub {
  readonly emit: Emit
  readonly outer: Emit | undefined
  /** Each with the number of layers that asked for it. */
  readonly listeners: Map<Listener, number>
  /** The number of layers that provide it. */
  users: number
}

export const makeHub = (outer: Emit | undefined): Hub => {
  const listeners = new Map<Listener, number>()
  const emit: Emit = (event) => {
    if (outer !== undefined) {
      // Only a hub is known never to throw
      try {
        outer(event)
      } catch {
        failed(hub)
      }
    }
    for (const listener of listeners.keys()) {
      try {
        listener.hear(event)
      } catch {
        failed(hub)
      }
    }
  }
  const hub: Hub = { emit, outer, listeners, users: 0 }
  emit.hub = hub
  return hub
}

const failed = (from: Hub): void => {
  for (let hub: Hub | undefined = from; hub !== undefined; hub = hub.outer?.hub) {
    for (const listener of hub.listeners.keys()) listener.failed?.()
  }
}

/** Whether whoever listens through `emit` is, or includes, `listener`. */
const hears = (emit: Emit | undefined, listener: Listener): boolean => {
  for (let hub = emit?.hub; hub !== undefined; hub = hub.outer?.hub) {
    if (hub.listeners.has(listener)) return true
  }
  return false
}

/** The hubs of each build of layers (one memo map a build), by the listener that was in force where each was made. */
type Hubs = Map<Layer.MemoMap, Map<Emit | undefined, Hub>>

const Hubs = /*#__PURE__*/ Context.Service<Hubs>("effect-resilience/internal/listeners/Hubs")

const hubsLayer: Layer.Layer<Hubs> = /*#__PURE__*/ Layer.sync(Hubs)((): Hubs => new Map())

/** What a layer that listens is made of: its listener, built once like any other layer. */
export const Ear = /*#__PURE__*/ Context.Service<Listener>("effect-resilience/internal/listeners/Ear")

/**
 * Puts the listener that `ear` builds in force, beside those put in force by the other layers of the same build, and in
 * addition to the one already in force around it.
 *
 * The layer itself is not memoised, because what listens around it depends on the place; what it builds is.
 */
export const layer = <A>(ear: Layer.Layer<A | Listener>): Layer.Layer<A> =>
  Layer.fromBuild<A, never, never>((memoMap, scope) =>
    Effect.gen(function* () {
      const built = yield* Layer.buildWithMemoMap(ear, memoMap, scope)
      const hubs = Context.get(yield* Layer.buildWithMemoMap(hubsLayer, memoMap, scope), Hubs)
      const hub = hubOf(hubs, memoMap, yield* CurrentListener)
      yield* Scope.addFinalizer(scope, Effect.sync(join(hubs, memoMap, hub, Context.get(built, Ear))))
      return Context.add(Context.omit(Ear)(built) as Context.Context<A>, CurrentListener, hub.emit)
    })
  )

const hubOf = (hubs: Hubs, memoMap: Layer.MemoMap, inForce: Emit | undefined): Hub => {
  const ofBuild = hubs.get(memoMap) ?? new Map<Emit | undefined, Hub>()
  // Already a hub of this build, where one of its layers is provided to another
  const around = inForce?.hub
  if (around !== undefined && ofBuild.get(around.outer) === around) return around
  const hub = ofBuild.get(inForce) ?? makeHub(inForce)
  hubs.set(memoMap, ofBuild.set(inForce, hub))
  return hub
}

/** Answers how to leave again. */
const join = (hubs: Hubs, memoMap: Layer.MemoMap, hub: Hub, listener: Listener): (() => void) => {
  // What listens around already, because the same layer was built further out, must not hear everything twice
  const heard = hears(hub.outer, listener)
  const leave = heard ? () => undefined : seat(hub, listener)
  hub.users++
  return () => {
    leave()
    if (--hub.users > 0) return
    const ofBuild = hubs.get(memoMap)
    ofBuild?.delete(hub.outer)
    if (ofBuild?.size === 0) hubs.delete(memoMap)
  }
}

const seat = (hub: Hub, listener: Listener): (() => void) => {
  hub.listeners.set(listener, (hub.listeners.get(listener) ?? 0) + 1)
  return () => {
    const left = hub.listeners.get(listener)! - 1
    if (left > 0) hub.listeners.set(listener, left)
    else hub.listeners.delete(listener)
  }
}
