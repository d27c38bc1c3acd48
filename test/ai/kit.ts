// What the tests of the AI adapter share beside the provider.
import { Effect, Exit } from "effect"
import { AiError, LanguageModel } from "effect/ai"
import * as Ai from "../../src/ai/index.ts"
import * as Backoff from "../../src/Backoff.ts"
import * as Policy from "../../src/Policy.ts"
import { errorOf } from "../kit.ts"

/** Three attempts. */
export const policy = Policy.make({
  name: "model.complete",
  faults: Ai.faults,
  safety: "idempotent",
  attemptTimeout: "5 seconds",
  retry: Backoff.constant("100 millis").pipe(Backoff.times(2))
})

export const ask = Effect.map(LanguageModel.generateText({ prompt: "hello" }), ({ text }) => text)

export const aiError = (reason: AiError.AiErrorReason) => AiError.make({ module: "Test", method: "test", reason })

/** In a word: the reason of an `AiError`, or the tag of any other error. */
export const reasonOf = (exit: Exit.Exit<unknown, unknown>): string => {
  const error = errorOf(exit)
  return AiError.isAiError(error) ? error.reason._tag : String((error as { readonly _tag: string })._tag)
}

/** One error of every reason there is, by its tag. */
export const everyReason: {
  readonly [T in AiError.AiErrorReason["_tag"]]: Extract<AiError.AiErrorReason, { readonly _tag: T }>
} = {
  RateLimitError: new AiError.RateLimitError({}),
  QuotaExhaustedError: new AiError.QuotaExhaustedError({}),
  AuthenticationError: new AiError.AuthenticationError({ kind: "InvalidKey" }),
  ContentPolicyError: new AiError.ContentPolicyError({ description: "no" }),
  InvalidRequestError: new AiError.InvalidRequestError({}),
  InvalidResponseError: new AiError.InvalidResponseError({ description: "<html>" }),
  InternalProviderError: new AiError.InternalProviderError({ description: "down" }),
  NetworkError: new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "http://a" }),
  InvalidOutputError: new AiError.InvalidOutputError({ description: "not this" }),
  StructuredOutputError: new AiError.StructuredOutputError({ description: "not a number", responseText: "forty" }),
  UnsupportedSchemaError: new AiError.UnsupportedSchemaError({ description: "no tuples" }),
  UnknownError: new AiError.UnknownError({}),
  ToolNotFoundError: new AiError.ToolNotFoundError({ toolName: "x", availableTools: [] }),
  ToolParameterValidationError: new AiError.ToolParameterValidationError({ toolName: "x", description: "no city" }),
  InvalidToolResultError: new AiError.InvalidToolResultError({ toolName: "x", description: "no" }),
  ToolResultEncodingError: new AiError.ToolResultEncodingError({ toolName: "x", toolResult: 1, description: "no" }),
  ToolConfigurationError: new AiError.ToolConfigurationError({ toolName: "x", description: "no" }),
  ToolkitRequiredError: new AiError.ToolkitRequiredError({ pendingApprovals: ["x"] }),
  InvalidUserInputError: new AiError.InvalidUserInputError({ description: "no" })
}

export const reasonTags = Object.keys(everyReason) as ReadonlyArray<AiError.AiErrorReason["_tag"]>
