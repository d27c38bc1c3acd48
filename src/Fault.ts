/**
 * The verdict on a failure: transient, throttled or permanent; when to come back; whether the dependency provably did not act;
 * and what the failure says of the dependency's health. A classifier gives it, and tells the types which errors a policy
 * retries and which come out untouched.
 *
 * Start with {@link byTag}: it is exhaustive, typo-proof, and each case sees its own error type.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Cause from "effect/Cause"
import type { SayOf, Sorted, Vocabulary } from "./internal/faultSplit.ts"
import { verdictOf, verdictSymbol } from "./internal/marker.ts"
import { isUnavailable } from "./internal/unavailable.ts"
import * as validate from "./internal/validate.ts"

/**
 * - `transient`: it may well work next time
 * - `throttled`: the dependency asks for patience; it is not sick
 * - `permanent`: the same request fails again, whenever it is made
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "transient" | "throttled" | "permanent"

/**
 * What a classifier says of one failure.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verdict<out K extends Kind = Kind> {
  readonly kind: K
  /** When the dependency asked to be called again. A floor for the next delay; above the policy's ceiling no retry is made. */
  readonly retryAfter?: Duration.Duration | undefined
  /**
   * The dependency provably did not act on the request: a refused connection, a 429, a REFUSED_STREAM. Only such a failure is
   * retried by a policy whose `safety` is "not-idempotent".
   */
  readonly unprocessed?: boolean | undefined
  /**
   * What the failure says of the dependency's health, for circuits and limits. Default: a transient failure "failed", a
   * throttled one "ignored", a permanent one "ok", because the dependency answered.
   */
  readonly health?: "ok" | "failed" | "ignored" | undefined
}

/**
 * The options of a {@link Verdict}.
 *
 * @since 0.1.0
 * @category models
 */
export interface VerdictOptions {
  /**
   * As the dependency says it, which may be anything, and is no reason for a call to die: NaN, such as a header that could not be read,
   * is no hint, and less than 0 is 0. Only what is no duration at all throws `InvalidOption`.
   */
  readonly retryAfter?: Duration.Input | undefined
  readonly unprocessed?: boolean | undefined
  readonly health?: "ok" | "failed" | "ignored" | undefined
}

const make_ = <K extends Kind>(kind: K, options: VerdictOptions | undefined): Verdict<K> => ({
  kind,
  retryAfter: validate.hint(`Fault.${kind}: retryAfter`, options?.retryAfter),
  unprocessed: options?.unprocessed,
  health: options?.health
})

const plain: { readonly [K in Kind]: Verdict<K> } = {
  transient: /*#__PURE__*/ make_("transient", undefined),
  throttled: /*#__PURE__*/ make_("throttled", undefined),
  permanent: /*#__PURE__*/ make_("permanent", undefined)
}

/**
 * It may well work next time.
 *
 * @since 0.1.0
 * @category verdicts
 */
export const transient = (options?: VerdictOptions): Verdict<"transient"> =>
  options === undefined ? plain.transient : make_("transient", options)

/**
 * The dependency asks for patience. Retried like a transient failure, but no sign of ill health.
 *
 * @since 0.1.0
 * @category verdicts
 */
export const throttled = (options?: VerdictOptions): Verdict<"throttled"> =>
  options === undefined ? plain.throttled : make_("throttled", options)

/**
 * The same request fails again, whenever it is made. Never retried, and comes out unchanged.
 *
 * @since 0.1.0
 * @category verdicts
 */
export const permanent = (options?: VerdictOptions): Verdict<"permanent"> =>
  options === undefined ? plain.permanent : make_("permanent", options)

/**
 * An error instance may carry its own verdict under this key; {@link auto} reads it.
 *
 * ```ts
 * class Refused extends Data.TaggedError("Refused") {
 *   readonly [Fault.verdict] = Fault.transient({ unprocessed: true })
 * }
 * ```
 *
 * @since 0.1.0
 * @category verdicts
 */
export const verdict: typeof verdictSymbol = verdictSymbol

/**
 * Gives a verdict on an error, or `undefined` for one it does not recognise: that one is not retried, comes out unchanged, and
 * counts as a failure for circuits and limits.
 *
 * One that throws, or says what is no verdict, is a bug: the call dies of it, and the original failure comes first in its cause.
 *
 * The interface has no type parameter, so that an options type can ask for "any classifier" without TypeScript inferring from
 * it; what a classifier knows of its errors is in the interfaces that extend this one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Classifier {
  readonly "~effect-resilience/Classifier": unknown
  readonly classify: (error: unknown) => Verdict | undefined
}

/**
 * `Perhaps` are the tags of lists that only the running program knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClassifier<
  out Retried extends string,
  out Final extends string,
  out Perhaps extends string = never
> extends Classifier {
  readonly "~effect-resilience/Classifier": {
    readonly _: "tags"
    readonly retried: Retried
    readonly final: Final
    readonly perhaps: Perhaps
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TagLists {
  readonly transient?: ReadonlyArray<string> | undefined
  readonly throttled?: ReadonlyArray<string> | undefined
  readonly permanent?: ReadonlyArray<string> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface CasesClassifier<out Cases> extends Classifier {
  readonly "~effect-resilience/Classifier": { readonly _: "cases"; readonly cases: Cases }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RefinementClassifier<out T, out K extends Kind> extends Classifier {
  readonly "~effect-resilience/Classifier": { readonly _: "refinement"; readonly type: T; readonly kind: K }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface FunctionClassifier<out K extends Kind> extends Classifier {
  readonly "~effect-resilience/Classifier": { readonly _: "function"; readonly kind: K }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface AllClassifier extends Classifier {
  readonly "~effect-resilience/Classifier": { readonly _: "all" }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface AutoClassifier extends Classifier {
  readonly "~effect-resilience/Classifier": { readonly _: "auto" }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface OrElseClassifier<out First, out Second> extends Classifier {
  readonly "~effect-resilience/Classifier": { readonly _: "orElse"; readonly first: First; readonly second: Second }
}

const classifier = <C extends Classifier>(classify: (error: unknown) => Verdict | undefined): C =>
  // the property exists for the types only
  ({ "~effect-resilience/Classifier": undefined, classify }) as unknown as C

const tagOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "_tag" in error ? error._tag : undefined

interface Tagged {
  readonly _tag: string
}

/**
 * One case for each tag of `E`.
 *
 * @since 0.1.0
 * @category models
 */
export type Cases<E extends Tagged> = {
  readonly [T in E["_tag"]]: Kind | ((error: Extract<E, { readonly _tag: T }>) => Verdict)
}

/**
 * The form to start with: a kind, or a function of the error, for each tag of `E`. A missing tag and a misspelt one do not
 * compile. A tag that turns up all the same is unrecognised.
 *
 * ```ts
 * const faults = Fault.byTag<NetworkError | TooManyRequests | UnknownSymbol>()({
 *   NetworkError: "transient",
 *   TooManyRequests: (e) => Fault.throttled({ retryAfter: e.retryAfter }),
 *   UnknownSymbol: "permanent"
 * })
 * ```
 *
 * @since 0.1.0
 * @category classifiers
 */
export const byTag =
  <E extends Tagged>() =>
  <const C extends Cases<E>>(cases: C & { readonly [T in Exclude<keyof C, E["_tag"]>]: never }): CasesClassifier<C> => {
    const byTag = new Map<unknown, Kind | ((error: never) => Verdict)>(Object.entries(cases))
    return classifier((error) => {
      const found = byTag.get(tagOf(error))
      return typeof found === "function" ? found(error as never) : found && plain[found]
    })
  }

/**
 * The short form: lists of tags. A tag that no list names is unrecognised. In two lists, the first of transient, throttled and
 * permanent counts.
 *
 * @since 0.1.0
 * @category classifiers
 */
export const tags = <const L extends TagLists>(
  lists: L & { readonly [K in Exclude<keyof L, keyof TagLists>]: never }
): TagClassifier<Sorted<L>["retried"], Sorted<L>["final"], Sorted<L>["perhaps"]> => {
  const kinds = new Map<unknown, Kind>()
  for (const kind of ["permanent", "throttled", "transient"] as const) {
    for (const tag of lists[kind] ?? []) kinds.set(tag, kind)
  }
  return classifier((error) => {
    const kind = kinds.get(tagOf(error))
    return kind && plain[kind]
  })
}

/**
 * Recognises the errors that `refinement` accepts, tagged or not. They are transient unless `verdict` says otherwise.
 *
 * @since 0.1.0
 * @category classifiers
 */
export const refine: {
  <T>(refinement: (error: unknown) => error is T): RefinementClassifier<T, "transient">
  <T, K extends Kind>(
    refinement: (error: unknown) => error is T,
    verdict: Verdict<K> | ((error: T) => Verdict<K>)
  ): RefinementClassifier<T, K>
  <T, K extends Kind>(
    refinement: (error: unknown) => error is T,
    verdict: Verdict<K> | ((error: T) => Verdict<K>) | undefined
  ): RefinementClassifier<T, K | "transient">
} = <T>(
  refinement: (error: unknown) => error is T,
  verdict?: Verdict | ((error: T) => Verdict)
): RefinementClassifier<T, never> =>
  classifier((error) =>
    !refinement(error) ? undefined : typeof verdict === "function" ? verdict(error) : (verdict ?? plain.transient)
  )

/**
 * A verdict by any function. It decides at run time, so that every error of the effect stands on both sides of the split: it
 * may be retried, and it may come out unchanged. It is asked about every error of the effect it is used with: `E` says which
 * ones you expect.
 *
 * @since 0.1.0
 * @category classifiers
 */
export const make = <E = unknown>(classify: (error: E) => Verdict | undefined): FunctionClassifier<Kind> =>
  classifier((error) => classify(error as E))

/**
 * Every typed failure is transient, but for this library's own errors (a nested `AttemptTimeout` is transient still): a nested
 * policy has retried already, and a rejection by a nested guard is not worth another try. Name those with {@link byTag} or {@link tags} if you mean them.
 *
 * @since 0.1.0
 * @category classifiers
 */
export const all: AllClassifier = /*#__PURE__*/ classifier((error) =>
  isUnavailable(error) && tagOf(error) !== "AttemptTimeout" ? undefined : plain.transient
)

/**
 * What a policy without `faults` uses: the verdict that the error carries itself (see {@link verdict}), then `isRetryable: true`
 * (with the error's `retryAfter`, if it is a `Duration`, as the hint), as Effect's own errors say it, and `Cause.TimeoutError`.
 * All else is unrecognised. A `retryAfter` alone makes nothing retryable.
 *
 * @since 0.1.0
 * @category classifiers
 */
export const auto: AutoClassifier = /*#__PURE__*/ classifier((error) => {
  if (typeof error !== "object" || error === null) return undefined
  const own = verdictOf(error)
  if (own !== undefined) return own
  if ("isRetryable" in error && error.isRetryable === true) {
    const hint = "retryAfter" in error ? error.retryAfter : undefined
    return Duration.isDuration(hint) ? transient({ retryAfter: hint }) : plain.transient
  }
  return Cause.isTimeoutError(error) ? plain.transient : undefined
})

/**
 * The first classifier that recognises the error decides.
 *
 * @since 0.1.0
 * @category classifiers
 */
export const orElse = <A extends Classifier, B extends Classifier>(first: A, second: B): OrElseClassifier<A, B> =>
  classifier((error) => first.classify(error) ?? second.classify(error))

/**
 * The members of `E` that a policy with classifier `C` may retry. `undefined` for `C` stands for {@link auto}.
 *
 * @since 0.1.0
 * @category type-level
 */
export type Transient<C, E> = E extends infer M ? ("retried" extends SayOf<C, M> ? M : never) : never

/**
 * The members of `E` that may come out of a policy with classifier `C` unchanged: permanent and unrecognised ones.
 *
 * @since 0.1.0
 * @category type-level
 */
export type Permanent<C, E> = E extends infer M ? ([SayOf<C, M>] extends ["retried"] ? never : M) : never

/**
 * Whether classifier `C` can call anything transient or throttled at all; `false` only where the types know that it cannot.
 *
 * @since 0.1.0
 * @category type-level
 */
export type CanRetry<C> = C extends infer X ? ("retried" extends Vocabulary<X> ? true : false) : never
