// Checks of options that only this adapter has: as those of internal/validate.ts, each returns the checked value, or throws InvalidOption.
import { invalid } from "../internal/validate.ts"

/** RFC 9110 §5.6.2, without the letters of one case. */
const lowerToken = /^[-!#$%&'*+.^_`|~0-9a-z]+$/
const upperToken = /^[-!#$%&'*+.^_`|~0-9A-Z]+$/

/** The name of a header, in lower case, as the headers of a request are kept. */
export const headerName = (option: string, value: string): string =>
  typeof value === "string" && lowerToken.test(value)
    ? value
    : invalid(option, value, "the name of a header, in lower case")

/** Methods are case-sensitive: one in lower case would never be met. */
export const methods = (option: string, value: ReadonlyArray<string>): ReadonlySet<string> =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((method) => typeof method === "string" && upperToken.test(method))
    ? new Set(value)
    : invalid(option, value, "a list of at least one method in upper case, such as POST")

/** A function, where there is one. */
export const callable = <F extends ((...args: ReadonlyArray<never>) => unknown) | undefined>(
  option: string,
  value: F
): F => (value === undefined || typeof value === "function" ? value : invalid(option, value, "a function"))
