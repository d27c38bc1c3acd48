// Any value as JSON, without taking one for another on the way back.
import * as Formatter from "effect/Formatter"
import type { Schema } from "effect"

type JsonObject = { readonly [field: string]: Schema.Json }

/** An object that has no other field stands for something else: for the number that it names, or for the object that it holds. */
const number = "number"
const object = "object"

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const isEscape = (value: object): boolean => {
  const [key, ...others] = Object.keys(value)
  return others.length === 0 && (key === number || key === object)
}

/**
 * JSON has no NaN and no infinity, which are `{ number: "NaN" }` and so on; an object of the user's that looks the same is
 * `{ object: { number: … } }`. A field that is `undefined` is left out. Anything else that JSON cannot write, be it a function, a bigint, an
 * instance of a class or an object within itself, is its text.
 */
export const toJson = (value: unknown, around: ReadonlyArray<object> = []): Schema.Json => {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value
  // the 0 makes a 0 of -0, as JSON does
  if (typeof value === "number") return Number.isFinite(value) ? value + 0 : { [number]: String(value) }
  if (typeof value !== "object" || around.includes(value)) return Formatter.format(value)
  const within = [...around, value]
  if (Array.isArray(value)) return Array.from(value, (item: unknown) => toJson(item, within))
  if (!isPlain(value)) return Formatter.format(value)
  const fields: JsonObject = Object.fromEntries(
    Object.entries(value).flatMap(([key, field]) => (field === undefined ? [] : [[key, toJson(field, within)]]))
  )
  return isEscape(fields) ? { [object]: fields } : fields
}

/** The way back; what `toJson` never writes is taken as it stands. */
export const fromJson = (json: Schema.Json): unknown => {
  if (typeof json !== "object" || json === null) return json
  if (Array.isArray(json)) return json.map(fromJson)
  const { number: name, object: escaped } = json as JsonObject
  if (isEscape(json)) {
    if (typeof name === "string") return Number(name)
    if (typeof escaped === "object" && escaped !== null) return fieldsFrom(escaped as JsonObject)
  }
  return fieldsFrom(json as JsonObject)
}

const fieldsFrom = (json: JsonObject): unknown =>
  Object.fromEntries(Object.entries(json).map(([key, field]) => [key, fromJson(field)]))
