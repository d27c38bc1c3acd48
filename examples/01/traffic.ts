// What the clients are asked for.
import { arrivals as poisson } from "../support/arrivals.ts"
import { lengthMs } from "./weather.ts"

export const perSecond = 40

/** The arrivals of the whole run, in milliseconds from its start. */
export const arrivals = poisson(perSecond, lengthMs)
