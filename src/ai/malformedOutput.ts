// What a model says that cannot be used. Of Effect it imports only types of `effect/ai`, so that its codec does not bring that along.
import * as Data from "effect/Data"
import type {
  AiError,
  InvalidOutputError,
  StructuredOutputError,
  ToolNotFoundError,
  ToolParameterValidationError
} from "effect/ai/AiError"
import { transient } from "../Fault.ts"
import { verdictSymbol } from "../internal/marker.ts"

/**
 * What can be wrong with what a model has said: text where an object was asked for, an object that is not the one asked for, a tool that
 * there is not, or parameters that a tool does not take.
 *
 * @since 0.1.0
 * @category models
 */
export type Malformation = InvalidOutputError | StructuredOutputError | ToolNotFoundError | ToolParameterValidationError

const malformations: ReadonlySet<string> = new Set<Malformation["_tag"]>([
  "InvalidOutputError",
  "StructuredOutputError",
  "ToolNotFoundError",
  "ToolParameterValidationError"
])

export const isMalformation = (reason: AiError["reason"]): reason is Malformation => malformations.has(reason._tag)

/**
 * A model has answered, and the answer cannot be used; and the next attempt will ask differently. Only {@link revise} makes it. It is
 * transient, and the provider is well.
 *
 * @since 0.1.0
 * @category errors
 */
export class MalformedOutput
  extends /*#__PURE__*/ Data.TaggedError("MalformedOutput")<{
    /** What is wrong with it. */
    readonly reason: Malformation
    readonly cause: AiError
  }>
{
  get [verdictSymbol]() {
    return transient({ health: "ok" })
  }

  /** What is wrong with it, in words that a model can be told. */
  get problem(): string {
    return this.reason.message
  }

  /** What the model said, where Effect has kept it: an object that was asked for and cannot be decoded. */
  get answer(): string | undefined {
    return this.reason._tag === "StructuredOutputError" ? this.reason.responseText : undefined
  }

  override get message(): string {
    return `the model's answer cannot be used: ${this.problem}`
  }
}
