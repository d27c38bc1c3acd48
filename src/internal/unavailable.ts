// The mark of this library's errors: the dependency could not serve. It is what `Policy.isUnavailable` and `Fallback` go by,
// so that a guard written elsewhere can join by carrying it.
export const UnavailableTypeId = "~effect-resilience/Unavailable"
export type UnavailableTypeId = typeof UnavailableTypeId

export interface Unavailable {
  readonly [UnavailableTypeId]: UnavailableTypeId
  readonly _tag: string
}

export const isUnavailable = <E>(error: E): error is Extract<E, Unavailable> =>
  typeof error === "object" && error !== null && UnavailableTypeId in error
