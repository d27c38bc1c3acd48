/**
 * What this library adds to a bundle, minified and gzipped: `node --conditions=effect-resilience-source bench/bundle.ts`.
 *
 * The app is the first policy of the README: `withResilience` with Backoff, Fault, a breaker and a budget. Says how its code
 * stands to the limit, and exits with 1 if an app without codecs pulls in Effect's Schema.
 */
import { build, transform, type BuildOptions, type Metafile } from "esbuild"
import { gzipSync } from "node:zlib"

const limit = { must: 9_000, aim: 7_000 }

const modules = ["Backoff", "CircuitBreaker", "Fault", "Policy", "RetryBudget"]

/** Modules imported one by one. esbuild keeps the whole of a module that it reaches through an index of namespaces. */
const apart = `
  import * as Effect from "effect/Effect"
  import * as Layer from "effect/Layer"
  ${modules.map((name) => `import * as ${name} from "effect-resilience/${name}"`).join("\n")}
  import { withResilience } from "effect-resilience/Policy"
`
const fromIndex = `
  import { Effect, Layer } from "effect"
  import { ${modules.join(", ")}, withResilience } from "effect-resilience"
`

const app = `
  class Breaker extends CircuitBreaker.Service()("app/Breaker", {
    trip: CircuitBreaker.failureRate({ threshold: 0.5, minimumCalls: 10, window: "30 seconds" })
  }) {}

  class Budget extends RetryBudget.Service()("app/Budget",
    RetryBudget.ratio({ ratio: 0.2, minPerSecond: 10, window: "10 seconds" })) {}

  const policy = Policy.make({
    name: "quotes.get",
    faults: Fault.byTag()({ NetworkError: "transient", UnknownSymbol: "permanent" }),
    safety: "idempotent",
    deadline: "3 seconds",
    attemptTimeout: "800 millis",
    retry: Backoff.exponential({ base: "100 millis", cap: "2 seconds" }).pipe(Backoff.fullJitter, Backoff.times(3)),
    budget: Budget,
    guards: [Breaker]
  })

  const program = Effect.succeed(1).pipe(withResilience(policy))
  Effect.runFork(program.pipe(Effect.provide(Layer.mergeAll(Breaker.layer, Budget.layer))))
`

const codecs = `
  import * as Schema from "effect/Schema"
  import { AttemptTimeout, RetryExhausted } from "effect-resilience/schema"

  globalThis.decode = Schema.decodeUnknownEffect(RetryExhausted(AttemptTimeout))
`

/** The same app as far as it can be written with Effect alone, to show what of the whole is Effect's. */
const effectAlone = `
  import * as Effect from "effect/Effect"
  import * as Layer from "effect/Layer"
  import * as Schedule from "effect/Schedule"

  const program = Effect.succeed(1).pipe(Effect.timeout("3 seconds"), Effect.retry(Schedule.exponential("100 millis")))
  Effect.runFork(program.pipe(Effect.provide(Layer.empty)))
`

interface Bundle {
  readonly minified: number
  readonly gzipped: number
  readonly inputs: ReadonlyArray<{ readonly file: string; readonly bytes: number }>
}

const options = (source: string, external: ReadonlyArray<string>) =>
  ({
    stdin: { contents: source, resolveDir: import.meta.dirname, loader: "ts" },
    absWorkingDir: `${import.meta.dirname}/..`,
    conditions: ["effect-resilience-source"],
    external: [...external],
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2023",
    mainFields: ["module", "main"],
    minify: true,
    metafile: true,
    write: false
  }) as const satisfies BuildOptions

const bundle = async (source: string, external: ReadonlyArray<string>): Promise<Bundle> => {
  const { metafile, outputFiles } = await build(options(source, external))
  const code = outputFiles[0]!.contents
  return { minified: code.length, gzipped: gzipSync(code, { level: 9 }).length, inputs: inputsOf(metafile) }
}

const inputsOf = (metafile: Metafile): Bundle["inputs"] =>
  Object.entries(Object.values(metafile.outputs)[0]!.inputs)
    .map(([file, { bytesInOutput }]) => ({ file: file.replace(/^.*node_modules\//, ""), bytes: bytesInOutput }))
    .filter(({ bytes }) => bytes > 0)
    .toSorted((a, b) => b.bytes - a.bytes)

const isSchema = ({ file }: { readonly file: string }): boolean => /^effect\/dist\/Schema\w*\.js$/.test(file)

const effect = ["effect", "effect/*"]
const own = await bundle(apart + app, effect)
const ownFromIndex = await bundle(fromIndex + app, effect)
const whole = await bundle(apart + app, [])
const wholeFromIndex = await bundle(fromIndex + app, [])
const withCodecs = await bundle(apart + app + codecs, [])
const baseline = await bundle(effectAlone, [])

/** What of our own code belongs together, by the names of its files. */
const parts: ReadonlyArray<readonly [what: string, files: RegExp]> = [
  [
    "one call: engine, retries, admission, outcomes, deadlines",
    /(Policy|Idempotency|engine|callFrame|catchCause|retries|admission|surroundings|outcome|permits|bounded|currentCall|history|policy|evaluated|time|context|callStart|draining|priorities|stackless|reportDefect|dataFirstOrLast)\.ts$/
  ],
  ["circuit breaker: states, windows, trips, by hand", /(breaker|circuit|window|trip|openTimes)\.ts$/],
  [
    "circuit breaker: class, layers, options, changes, its error",
    /(CircuitBreaker|Guard|breakerService|broadcast|circuitOpen|guardClass|liveRetryAfter)\.ts$/
  ],
  ["circuit breaker alone, without a policy", /protect\.ts$/],
  ["keys of breakers and budgets", /(keyed|perKey|linked)\.ts$/],
  ["hedging", /(hedging|hedgedAttempt|hedge)\.ts$/],
  ["options: checks, their messages, endless schedules", /(plan|validate|InvalidOption|endless|simulation)\.ts$/],
  ["errors and verdicts", /(errors|unavailable|Fault|marker)\.ts$/],
  ["backoff", /(Backoff|backoff)\.ts$/],
  ["retry budget", /(RetryBudget|budgets?|callBudgets|ratio)\.ts$/],
  ["telemetry: events and span events", /(callEvents|events|spanEvents)\.ts$/]
]

/** By how much the gzipped bundle is smaller without the files of a part. */
const without = async (source: string): Promise<ReadonlyArray<readonly [what: string, bytes: number]>> => {
  const { outputFiles } = await build({ ...options(source, effect), minify: false, minifySyntax: true })
  // esbuild says before each piece which file it is of
  const pieces = outputFiles[0]!.text.split(/^(?=\/\/ (?:src\/.*|<stdin>)$)/m)
  const gzipped = async (kept: ReadonlyArray<string>): Promise<number> => {
    const { code } = await transform(kept.join(""), { minify: true, format: "esm" })
    return gzipSync(code, { level: 9 }).length
  }
  const whole = await gzipped(pieces)
  const fileOf = (piece: string): string => piece.slice(3, piece.indexOf("\n"))
  const rows: Array<readonly [string, number]> = []
  for (const [what, files] of parts) {
    rows.push([what, whole - (await gzipped(pieces.filter((piece) => !files.test(fileOf(piece)))))])
  }
  const none = pieces.map(fileOf).filter((file) => file !== "<stdin>" && !parts.some(([, files]) => files.test(file)))
  if (none.length > 0) rows.push([`of no part: ${[...new Set(none)].join(", ")}`, 0])
  return rows
}

const kB = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`.padStart(9)
const row = (name: string, { minified, gzipped }: Bundle): string => `${name.padEnd(58)}${kB(minified)}${kB(gzipped)}`

console.log(`${"bundle".padEnd(58)} minified  gzipped`)
console.log(row("our own code (effect external), modules imported apart", own))
console.log(row("  the same, everything imported from the index", ownFromIndex))
console.log(row("the whole app with effect, modules imported apart", whole))
console.log(row("  the same, everything imported from the index", wholeFromIndex))
console.log(row("  with effect-resilience/schema as well", withCodecs))
console.log(row("for comparison: Effect's own timeout and retry alone", baseline))

const print = (title: string, inputs: Bundle["inputs"]): void => {
  console.log(`\n${title}, minified`)
  for (const { file, bytes } of inputs) console.log(`  ${file.padEnd(48)}${kB(bytes)}`)
}
console.log(
  "\nby how much our own code is smaller without a part, gzipped (what parts have in common is in none of them)"
)
for (const [what, bytes] of await without(apart + app)) console.log(`  ${what.padEnd(66)}${kB(bytes)}`)

print("our own code by file", own.inputs)
print("the largest files of the whole app", whole.inputs.slice(0, 15))

const verdict = own.gzipped <= limit.aim ? "meets the aim" : own.gzipped <= limit.must ? "meets the must" : "TOO LARGE"
console.log(
  `\nour own code: ${kB(own.gzipped).trim()} (must <= ${kB(limit.must).trim()}, aim <= ${kB(limit.aim).trim()}): ${verdict}`
)

const schema = wholeFromIndex.inputs.filter(isSchema)
if (schema.length > 0) print("Schema in an app that does not use it: FAILED", schema)
process.exitCode = schema.length > 0 ? 1 : 0
