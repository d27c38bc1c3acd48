// How a classifier splits an error channel, in the types. Each member of E falls on one side, or on both where only the running
// program can tell. `Fault` exports the sides.
import type * as Cause from "effect/Cause"
import type { Kind, TagLists, Verdict } from "../Fault.ts"
import type { verdictSymbol } from "./marker.ts"
import type { Unavailable } from "./unavailable.ts"

/** What a classifier can say of one member: "retried", "final" (permanent) or "unknown" (unrecognised). */
type Say = "retried" | "final" | "unknown"

type SayKind<K> = K extends "permanent" ? "final" : "retried"

/** What classifier `C` can say of `M`, a member of the error channel. */
export type SayOf<C, M> = C extends { readonly "~effect-resilience/Classifier": infer I }
  ? I extends { readonly _: "tags"; readonly retried: infer R; readonly final: infer F; readonly perhaps: infer P }
    ? SayTags<M, R, F, P>
    : I extends { readonly _: "cases"; readonly cases: infer Cs }
      ? SayCases<M, Cs>
      : I extends { readonly _: "refinement"; readonly type: infer T; readonly kind: infer K }
        ? SayRefinement<M, T, K>
        : I extends { readonly _: "function"; readonly kind: infer K }
          ? SayKind<K> | "unknown"
          : I extends { readonly _: "orElse"; readonly first: infer A; readonly second: infer B }
            ? SayOrElse<M, A, B>
            : I extends { readonly _: "all" }
              ? SayAll<M>
              : I extends { readonly _: "auto" }
                ? SayAuto<M>
                : // a classifier known only as such
                  Say
  : SayAuto<M>

/** What classifier `C` can say at all; more than that only where the types do not know it. */
export type Vocabulary<C> = C extends { readonly "~effect-resilience/Classifier": infer I }
  ? I extends { readonly _: "tags"; readonly retried: infer R; readonly perhaps: infer P }
    ? [R | P] extends [never]
      ? Exclude<Say, "retried">
      : Say
    : I extends { readonly _: "cases"; readonly cases: infer Cs }
      ? SayKind<CaseKind<Cs[keyof Cs]>> | "unknown"
      : I extends { readonly _: "refinement"; readonly kind: infer K }
        ? SayKind<K> | "unknown"
        : I extends { readonly _: "orElse"; readonly first: infer A; readonly second: infer B }
          ? Vocabulary<A> | Vocabulary<B>
          : Say
  : Say

/** What kinds classifier `C` can call `M`, where it is retried: both, where the types do not tell them apart. */
type KindsOf<C, M> = C extends { readonly "~effect-resilience/Classifier": infer I }
  ? I extends { readonly _: "cases"; readonly cases: infer Cs }
    ? M extends { readonly _tag: infer X }
      ? { [T in keyof Cs]: [X & T] extends [never] ? never : CaseKind<Cs[T]> }[keyof Cs]
      : Kind
    : I extends { readonly _: "refinement"; readonly kind: infer K }
      ? K
      : I extends { readonly _: "orElse"; readonly first: infer A; readonly second: infer B }
        ? KindsOf<A, M> | KindsOf<B, M>
        : Kind
  : Kind

/** The members of `E` that classifier `C` may call `K`: "transient" or "throttled". */
export type RetriedAs<K extends Kind, C, E> = E extends infer M
  ? "retried" extends SayOf<C, M>
    ? K extends KindsOf<C, M>
      ? M
      : never
    : never
  : never

// -- by tag ------------------------------------------------------------------------------------------------------------

/** Is tag type `X` (a literal, a union, or string) in the set `S`? "yes", "no", or both. */
type TagIn<X, S> = [X] extends [S] ? "yes" : [X & S] extends [never] ? "no" : "yes" | "no"

type SayTags<M, Retried, Final, Perhaps> = M extends { readonly _tag: infer X }
  ? | (TagIn<X, Retried> extends infer A ? (A extends "yes" ? "retried" : never) : never)
    | (TagIn<X, Final> extends infer A ? (A extends "yes" ? "final" : never) : never)
    | (TagIn<X, Retried | Final> extends infer A ? (A extends "no" ? "unknown" : never) : never)
    | ([X & Perhaps] extends [never] ? never : Say)
  : unknown extends M
    ? Say
    : "unknown"

type SayCases<M, C> = M extends { readonly _tag: infer X }
  ? | { [T in keyof C]: [X & T] extends [never] ? never : SayKind<CaseKind<C[T]>> }[keyof C]
    | (TagIn<X, keyof C> extends infer A ? (A extends "no" ? "unknown" : never) : never)
    // cases with an index signature: which ones there are, only the running program knows
    | (string extends keyof C ? "unknown" : never)
  : unknown extends M
    ? Say
    : "unknown"

type CaseKind<V> = V extends Kind
  ? V
  : V extends (...args: never) => infer R
    ? R extends Verdict<infer K>
      ? K
      : never
    : never

// -- otherwise ---------------------------------------------------------------------------------------------------------

type SayRefinement<M, T, K> = [M] extends [T] ? SayKind<K> : T extends M ? SayKind<K> | "unknown" : "unknown"

type SayAuto<M> = unknown extends M
  ? Say
  : typeof verdictSymbol extends keyof M
    ? | (unknown extends M[typeof verdictSymbol] ? Say : SayOwn<M[typeof verdictSymbol]>)
      | (undefined extends M[typeof verdictSymbol] ? SayFlag<M> : never)
    : SayFlag<M>

type SayOwn<V> = V extends Verdict<infer K> ? SayKind<K> : never

type SayFlag<M> = M extends Cause.TimeoutError
  ? "retried"
  : "isRetryable" extends keyof M
    ? (true extends M["isRetryable"] ? "retried" : never) | (M["isRetryable"] extends true ? never : "unknown")
    : "unknown"

type SayAll<M> = Unavailable extends M
  ? "retried" | "unknown"
  : M extends Unavailable
    ? M extends { readonly _tag: "AttemptTimeout" }
      ? "retried"
      : "unknown"
    : "retried"

type SayOrElse<M, A, B> = SayOf<A, M> extends infer S ? (S extends "unknown" ? SayOf<B, M> : S) : never

// -- lists of tags -----------------------------------------------------------------------------------------------------
// A list counts for sure only as a tuple of single literals: any other, and one that may be absent, is known to the running
// program alone.

/**
 * The tags of lists `L` by what becomes of them; `perhaps` is known to the running program alone. Read by member: of an alias that
 * is exported, hovering would show the name, and not the tags.
 */
export interface Sorted<L> {
  readonly retried: RetriedIn<L>
  readonly final: FinalIn<L>
  readonly perhaps: Exclude<NamedIn<L, keyof TagLists>, RetriedIn<L> | FinalIn<L>>
}

type RetriedIn<L> = SureIn<L, "transient"> | SureIn<L, "throttled">

type FinalIn<L> = Exclude<SureIn<L, "permanent">, NamedIn<L, "transient" | "throttled">>

type SureIn<L, K extends keyof TagLists> = L extends { readonly [k in K]: infer List } ? SureOf<List> : never

type SureOf<List> = [List] extends [readonly [infer H, ...infer Rest]] ? Single<H> | SureOf<Rest> : never

type Single<T> = {} extends { readonly [K in T & string]: 1 }
  ? never
  : [T] extends [(T extends unknown ? (_: T) => void : never) extends (_: infer I) => void ? I : never]
    ? T
    : never

type NamedIn<L, K extends keyof TagLists> = K extends keyof L
  ? L[K] extends infer List
    ? List extends ReadonlyArray<infer T extends string>
      ? T
      : never
    : never
  : never
