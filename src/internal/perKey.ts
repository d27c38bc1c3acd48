// The state of a guard: one machine, or one for each key.
import type { Duration } from "effect"
import { KeyedMap } from "./keyed.ts"
import * as validate from "./validate.ts"

export interface KeysOptions {
  /** The most keys in memory: a whole number of at least 1. */
  readonly max?: number | undefined
  /** How long a key is remembered that nobody uses: more than 0. */
  readonly idleTimeToLive?: Duration.Input | undefined
}

/** Ten thousand keys are some megabytes at most; ten minutes are longer than any window. */
export const keysDefaults = { max: 10_000, idleTimeToLive: "10 minutes" } as const

export interface Keys {
  readonly max: number
  readonly idleTimeToLiveMs: number
}

/** The options of a class, and what its layer changes of them. */
export const keysOf = (own: KeysOptions | undefined, change: KeysOptions | undefined): Keys | undefined => {
  if (own === undefined) {
    return change === undefined
      ? undefined
      : validate.invalid("keys", change, "undefined, because the class is not keyed")
  }
  const idleTimeToLive = change?.idleTimeToLive ?? own.idleTimeToLive ?? keysDefaults.idleTimeToLive
  return {
    max: validate.integer("keys.max", change?.max ?? own.max ?? keysDefaults.max, 1),
    idleTimeToLiveMs: validate.duration("keys.idleTimeToLive", idleTimeToLive, "positive")
  }
}

export interface PerKeyOptions<M> {
  /** What the guard is, and its name, for messages: `bulkhead "app/Upstream"`. */
  readonly label: string
  /** Undefined: the guard is not keyed, and ignores keys. */
  readonly keys: Keys | undefined
  readonly make: (key: string | undefined, now: number) => M
  /** Whether a machine would be missed if it were forgotten and made anew: somebody runs, or waits, in it. */
  readonly keep: (machine: M, now: number) => boolean
}

export class PerKey<M> {
  readonly #label: string
  readonly #single: M | undefined
  readonly #keyed: KeyedMap<M> | undefined

  constructor({ keep, keys, label, make }: PerKeyOptions<M>, now: number) {
    this.#label = label
    this.#single = keys === undefined ? make(undefined, now) : undefined
    this.#keyed = keys && new KeyedMap({ ...keys, make, keep })
  }

  /** Counts as use, and makes the machine if there is none. */
  use(key: string | undefined, now: number): M {
    return this.#keyed === undefined ? this.#single! : this.#keyed.get(this.#given(key), now)
  }

  /** The machine, if there is one. It changes nothing, and does not count as use. */
  find(key: string | undefined, now: number): M | undefined {
    return this.#keyed === undefined ? this.#single : this.#keyed.peek(this.#given(key), now)
  }

  /** All there are; without keys it is exactly one. */
  present(now: number): ReadonlyArray<readonly [key: string | undefined, machine: M]> {
    return this.#keyed === undefined ? [[undefined, this.#single!]] : this.#keyed.entries(now)
  }

  #given(key: string | undefined): string {
    return key ?? validate.invalid("key", key, `a string, said at the call, because the ${this.#label} is keyed`)
  }
}
