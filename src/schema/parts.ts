// What the codecs of the errors are made of.
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/**
 * A duration in JSON: milliseconds, which may have a fraction. JSON has no infinite number, so that is a word.
 *
 * @since 0.1.0
 * @category models
 */
export type Millis = number | "Infinity" | "-Infinity"

const MillisJson = /*#__PURE__*/ Schema.Union([Schema.Finite, /*#__PURE__*/ Schema.Literals(["Infinity", "-Infinity"])])

/** A `Duration` as milliseconds. */
export const Span: Schema.Codec<Duration.Duration, Millis> = /*#__PURE__*/ MillisJson.pipe(
  /*#__PURE__*/ Schema.decodeTo(
    Schema.Duration,
    /*#__PURE__*/ SchemaTransformation.transform<Duration.Duration, Millis>({
      decode: (millis) => Duration.millis(Number(millis)),
      encode: (duration) => {
        const millis = Duration.toMillis(duration)
        if (Number.isFinite(millis)) return millis
        return millis > 0 ? "Infinity" : "-Infinity"
      }
    })
  )
)

/**
 * One reason of a cause in JSON.
 *
 * @since 0.1.0
 * @category models
 */
export type ReasonEncoded<E> =
  | { readonly _tag: "Fail"; readonly error: E }
  | { readonly _tag: "Die"; readonly defect: Schema.Json }
  | { readonly _tag: "Interrupt"; readonly fiberId: number | null }

/** A `Cause` as the list of its reasons. Effect's own codec leaves a cause a `Cause` on the encoded side. */
export const causeOf = <E, I, RD, RE>(error: Schema.Codec<E, I, RD, RE>) =>
  Schema.Array(
    Schema.Union([
      Schema.Struct({ _tag: Schema.Literal("Fail"), error }),
      Schema.Struct({ _tag: Schema.Literal("Die"), defect: Schema.Defect() }),
      Schema.Struct({ _tag: Schema.Literal("Interrupt"), fiberId: Schema.NullOr(Schema.Finite) })
    ])
  ).pipe(
    Schema.decodeTo(
      Schema.declare((u): u is Cause.Cause<E> => Cause.isCause(u)),
      SchemaTransformation.transform({
        decode: (reasons) =>
          Cause.fromReasons(
            reasons.map((reason): Cause.Reason<E> => {
              switch (reason._tag) {
                case "Fail":
                  return Cause.makeFailReason(reason.error)
                case "Die":
                  return Cause.makeDieReason(reason.defect)
                case "Interrupt":
                  return Cause.makeInterruptReason(reason.fiberId ?? undefined)
              }
            })
          ),
        encode: (cause) =>
          cause.reasons.map((reason) => {
            switch (reason._tag) {
              case "Fail":
                return { _tag: "Fail", error: reason.error } as const
              case "Die":
                return { _tag: "Die", defect: reason.defect } as const
              case "Interrupt":
                return { _tag: "Interrupt", fiberId: reason.fiberId ?? null } as const
            }
          })
      })
    )
  )

/**
 * Takes out the options that are `undefined`: JSON has no such value, and `JSON.stringify` would leave them out anyway.
 */
export const defined = <A extends object>(fields: A): Defined<A> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<A>

type Defined<A> = { readonly [K in keyof A as undefined extends A[K] ? never : K]: A[K] } & {
  readonly [K in keyof A as undefined extends A[K] ? K : never]?: Exclude<A[K], undefined>
}
