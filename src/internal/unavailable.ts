// The mark of this library's errors: the dependency could not serve. It is what `Policy.isUnavailable` and `Fallback` go by,
// so that a guard written elsewhere can join by carrying it.
export const UnavailableTypeId = "~effect-resilience/Unavailable"
export type UnavailableTypeId = typeof UnavailableTypeId

export interface Unavailable {
  readonly [UnavailableTypeId]: UnavailableTypeId
  readonly _tag: string
}

/** How a message of such an error begins: `the circuit app/Upstream of eu-1`. */
export const named = (what: string, name: string, key: string | undefined): string =>
  key === undefined ? `the ${what} ${name}` : `the ${what} ${name} of ${key}`

export const isUnavailable = <E>(error: E): error is Extract<E, Unavailable> =>
  typeof error === "object" && error !== null && UnavailableTypeId in error
