// What must hold of the tree as a whole. The lint (`.oxlintrc.json`) forbids the same in the editor, where it can.
import { assert, describe, it } from "@effect/vitest"
import { build, type Plugin } from "esbuild"
import { existsSync, globSync, readFileSync } from "node:fs"

const root = `${import.meta.dirname}/..`
const read = (file: string): string => readFileSync(`${root}/${file}`, "utf8")
const glob = (pattern: string): ReadonlyArray<string> => globSync(pattern, { cwd: root }).toSorted()

/** Code without comments and without what stands in strings, line by line as before. */
const code = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/gm, (match) =>
    match.replace(/[^\n]/g, " ")
  )

const sources = glob("src/**/*.ts").map((file) => ({ file, text: read(file), code: code(read(file)) }))

/** `file:line` of every match, so that a failure says where to look. */
const places = (
  pattern: RegExp,
  of: (source: (typeof sources)[number]) => string,
  except: ReadonlyArray<string> = []
) =>
  sources
    .filter(({ file }) => !except.includes(file))
    .flatMap((source) =>
      of(source)
        .split("\n")
        .flatMap((line, index) => (pattern.test(line) ? [`${source.file}:${index + 1}: ${line.trim()}`] : []))
    )

describe("time and randomness come from Effect alone (rule 22)", () => {
  const forbidden = [
    /\bDate\.now\b/,
    /\bnew Date\(\)/,
    /\bMath\.random\b/,
    /\bperformance\b/,
    /\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b/,
    /\bconsole\b/,
    /\bprocess\b/,
    /\bBuffer\b/,
    /\bcrypto\b/
  ]
  for (const pattern of forbidden) {
    it(`no ${pattern.source} in src`, () => {
      // the one place that arms a timer of the host
      assert.deepStrictEqual(
        places(pattern, (source) => source.code, ["src/internal/time.ts"]),
        []
      )
    })
  }

  it("internal/time.ts uses the host's timer, and no clock of the host", () => {
    const time = sources.find(({ file }) => file === "src/internal/time.ts")!
    assert.match(time.code, /\bsetTimeout\b/)
    assert.notMatch(time.code, /\b(Date|performance|setInterval|random)\b/)
  })
})

describe("imports", () => {
  /** Every module that a file imports, with the names if they are listed, and whether only types are. */
  const importsOf = (text: string) =>
    [...text.matchAll(/^(?:import|export)\s+(type\s)?(\*[^"{}]*|\{[^"{}]*\}\s*)from\s+"([^"]+)"/gm)].map(
      ([, type, names, from]) => ({
        type: type !== undefined,
        names: [...(names ?? "").matchAll(/(?:^|[{,])\s*(?:type\s+)?(\w+)(?:\s+as\s+(\w+))?(?=\s*[,}])/g)].map(
          ([, name, as]) => ({ name: name!, as: as ?? name! })
        ),
        /** The name of `* as name`. */
        all: /^\*\s+as\s+(\w+)/.exec(names ?? "")?.[1],
        from: from!
      })
    )

  // esbuild keeps the whole of Config, and with it Schema, if Config comes from the index
  it("Schema is imported only where codecs are, and Config not from the index of effect", () => {
    const guilty = sources
      .filter(({ file }) => !file.startsWith("src/schema/"))
      .filter(({ text }) =>
        importsOf(text).some(
          ({ type, names, from }) =>
            !type &&
            (from.startsWith("effect/Schema") ||
              (from === "effect" && names.some(({ name }) => /^(Schema|Config$)/.test(name))))
        )
      )
    assert.deepStrictEqual(
      guilty.map(({ file }) => file),
      []
    )
  })

  it("effect is the only dependency", () => {
    const foreign = sources.flatMap(({ file, text }) =>
      importsOf(text)
        .filter(({ from }) => !from.startsWith(".") && !/^effect($|\/)/.test(from))
        .map(({ from }) => `${file}: ${from}`)
    )
    assert.deepStrictEqual(foreign, [])
  })

  it("what Effect calls unstable or experimental is used only in adapters", () => {
    const isAdapter = (file: string) =>
      file === "src/EffectCircuitBreaker.ts" || file === "src/RateLimit.ts" || /^src\/(http|sql|ai)\//.test(file)
    const used = sources
      .filter(({ file }) => !isAdapter(file))
      .flatMap(({ file, text, code }) =>
        importsOf(text)
          .filter(({ from }) => /^effect($|\/)/.test(from))
          .flatMap(({ from, names, all }) => {
            // everything in a folder of Effect is unstable, `effect/persistence` for one
            if (/^effect\/[a-z]/.test(from)) return [`${file}: ${from}`]
            const modules = all === undefined ? names : [{ name: from.replace("effect/", ""), as: all }]
            return modules.flatMap(({ name, as }) =>
              [...code.matchAll(new RegExp(`(?<![\\w.])${as}\\.(\\w+)`, "g"))]
                .filter(([, member]) => unstable(name).has(member!))
                .map(([, member]) => `${file}: ${name}.${member}`)
            )
          })
      )
    assert.deepStrictEqual([...new Set(used)].toSorted(), accepted.toSorted())
  })

  it("that check knows what is unstable", () => {
    assert.isTrue(unstable("Schema").has("Graph"))
    assert.isFalse(unstable("Schema").has("Struct"))
  })

  /** Used although it is not stable, because there is no other way; each with its reason. */
  const accepted: ReadonlyArray<string> = []

  it("the core imports no adapter and no codec", () => {
    const upwards = sources
      .filter(({ file }) => file.startsWith("src/internal/"))
      .flatMap(({ file, text }) =>
        importsOf(text)
          .filter(({ from }) => /\/(schema|http|sql|ai)\//.test(from))
          .map(({ from }) => `${file}: ${from}`)
      )
    assert.deepStrictEqual(upwards, [])
  })
})

describe("tests mirror src", () => {
  /** What has no test file of its own: where it is tested. */
  const elsewhere: Readonly<Record<string, string>> = {
    Guard: "test/Policy.rules.test.ts",
    index: "test/package.test.ts",
    "internal/admission": "test/Policy.rules.test.ts",
    "internal/bounded": "test/EffectCircuitBreaker.test.ts",
    "internal/breaker": "test/CircuitBreaker.test.ts",
    "internal/breakerService": "test/CircuitBreaker.test.ts",
    "internal/budget": "test/internal/budgets.test.ts",
    "internal/budgets/concurrent": "test/internal/budgets.test.ts",
    "internal/budgets/fixedRate": "test/internal/budgets.test.ts",
    "internal/budgets/ratio": "test/internal/budgets.test.ts",
    "internal/budgets/task": "test/RetryBudget.test.ts",
    "internal/budgets/throttle": "test/internal/budgets.test.ts",
    "internal/budgets/tokenBucket": "test/internal/budgets.test.ts",
    "internal/callBudgets": "test/RetryBudget.test.ts",
    "internal/callEvents": "test/Telemetry.test.ts",
    "internal/callFrame": "test/Policy.engine.test.ts",
    "internal/callStart": "test/Backoff.test.ts",
    "internal/circuitOpen": "test/CircuitBreaker.test.ts",
    "internal/context": "test/Policy.engine.test.ts",
    "internal/currentCall": "test/Attempt.test.ts",
    "internal/dataFirstOrLast": "test/Fallback.test.ts",
    "internal/draining": "test/Policy.rules.test.ts",
    "internal/engine": "test/Policy.rules.test.ts",
    "internal/events": "test/Telemetry.test.ts",
    "internal/faultSplit": "test/Policy.types.test.ts",
    "internal/rateLimit": "test/RateLimit.test.ts",
    "internal/rateLimitService": "test/RateLimit.test.ts",
    "internal/rateLimited": "test/RateLimit.test.ts",
    "internal/rateStore": "test/RateLimit.shared.test.ts",
    "internal/interposer": "test/Chaos.test.ts",
    "internal/linked": "test/internal/keyed.test.ts",
    "internal/guardClass": "test/guards.test.ts",
    "internal/hedgedAttempt": "test/Hedge.engine.test.ts",
    "internal/hedging": "test/Hedge.engine.test.ts",
    "internal/throttleService": "test/Throttle.test.ts",
    "internal/throttled": "test/Throttle.test.ts",
    "internal/perKey": "test/guards.test.ts",
    "internal/priorities": "test/Priority.test.ts",
    "internal/formatReport": "test/internal/report.test.ts",
    "internal/listeners": "test/Telemetry.test.ts",
    "internal/log": "test/Telemetry.test.ts",
    "internal/marker": "test/Fault.test.ts",
    "internal/metrics": "test/Telemetry.test.ts",
    "internal/openTimes": "test/CircuitBreaker.test.ts",
    "internal/plan": "test/Policy.rules.test.ts",
    "internal/policyTypes": "test/Policy.types.test.ts",
    "internal/permits": "test/Policy.rules.test.ts",
    "internal/policy": "test/Policy.test.ts",
    "internal/reportDefect": "test/Policy.rules.test.ts",
    "internal/retries": "test/Policy.rules.test.ts",
    "internal/served": "test/Fallback.test.ts",
    "internal/simulation": "test/Backoff.test.ts",
    "internal/spanEvents": "test/Telemetry.test.ts",
    "internal/stackless": "test/guards.test.ts",
    "internal/stale": "test/Fallback.test.ts",
    "internal/standard": "test/Policy.test.ts",
    "internal/time": "test/Policy.rules.test.ts",
    "internal/trip": "test/internal/circuit.test.ts",
    "internal/unavailable": "test/schema/index.test.ts",
    "http/attempt": "test/http/client.test.ts",
    "http/body": "test/http/client.test.ts",
    "http/grammar": "test/http/retryAfter.test.ts",
    "http/idempotencyKey": "test/http/idempotency.test.ts",
    "http/idempotencyShares": "test/http/idempotencyLedger.test.ts",
    "http/idempotencyStore": "test/http/idempotency.test.ts",
    "ai/malformedOutput": "test/ai/revise.test.ts",
    "http/idempotencyStoreError": "test/http/idempotency.test.ts",
    "http/index": "test/http/classify.test.ts",
    "http/middleware": "test/http/deadlineMiddleware.test.ts",
    "http/optionChecks": "test/http/idempotency.test.ts",
    "http/problem": "test/http/toResponse.test.ts",
    "http/rereadRequest": "test/http/idempotency.test.ts",
    "http/storedResponse": "test/http/idempotency.test.ts",
    "http/turnedAway": "test/http/idempotency.test.ts",
    "http/quota": "test/http/retryAfter.test.ts",
    "http/settings": "test/http/client.test.ts",
    "http/structuredField": "test/http/retryAfter.test.ts",
    "ai/index": "test/ai/failsOver.test.ts",
    "sql/commitUnknown": "test/sql/attempt.test.ts",
    "sql/index": "test/sql/transaction.test.ts",
    "sql/isolation": "test/sql/transaction.test.ts",
    "schema/rejections": "test/schema/index.test.ts",
    "internal/adaptiveLimits": "test/AdaptiveLimit.test.ts",
    "internal/adaptiveService": "test/AdaptiveLimit.test.ts",
    "internal/concurrencyLimited": "test/AdaptiveLimit.test.ts",
    "internal/limits/aimd": "test/internal/limits.test.ts",
    "internal/limits/algorithm": "test/internal/limits.test.ts",
    "internal/limits/gradient2": "test/internal/limits.test.ts",
    "internal/limits/noLoad": "test/internal/limits.test.ts",
    "internal/limits/queue": "test/internal/limits.test.ts",
    "internal/limits/samples": "test/internal/limits.test.ts",
    "internal/limits/vegas": "test/internal/limits.test.ts",
    "internal/liveRetryAfter": "test/CircuitBreaker.test.ts",
    "internal/bulkheadFull": "test/Bulkhead.test.ts",
    "internal/bulkheadService": "test/Bulkhead.test.ts",
    "internal/compartments": "test/Bulkhead.test.ts",
    "internal/waitFor": "test/Bulkhead.interruption.test.ts",
    "schema/errors": "test/schema/index.test.ts",
    "schema/parts": "test/schema/index.test.ts",
    "schema/value": "test/schema/index.test.ts"
  }

  const tests = glob("test/**/*.test.ts")
  const names = sources.map(({ file }) => file.replace(/^src\//, "").replace(/\.ts$/, ""))
  const hasOwn = (name: string) =>
    tests.some((test) => new RegExp(`^test/${name}(\\.[\\w.]+)?\\.test\\.ts$`).test(test))

  it("every file under src has a test, or one that is named here", () => {
    assert.deepStrictEqual(
      names.filter((name) => !hasOwn(name) && elsewhere[name] === undefined),
      []
    )
  })

  it("what is named here is there", () => {
    const gone = Object.entries(elsewhere).filter(
      ([name, test]) => !names.includes(name) || !existsSync(`${root}/${test}`)
    )
    assert.deepStrictEqual(Object.fromEntries(gone), {})
  })
})

describe("types", () => {
  it("any is written only on lines that say why", () => {
    const lines = places(/[:<,|&(=]\s*any\b|\bas any\b/, (source) => source.code)
    const unexplained = lines.filter((place) => {
      const [, file, number] = /^([^:]+):(\d+)/.exec(place)!
      const before = read(file!).split("\n")[Number(number) - 2] ?? ""
      return !/no-explicit-any.* -- \S/.test(before)
    })
    assert.deepStrictEqual(unexplained, [])
  })

  it("a rule of the lint is switched off only with a reason", () => {
    assert.deepStrictEqual(
      places(/oxlint-disable(?!.* -- \S)|eslint-disable|@ts-ignore|@ts-nocheck/, (source) => source.text),
      []
    )
  })
})

describe("package.json", () => {
  const manifest = JSON.parse(read("package.json")) as {
    readonly sideEffects: unknown
    readonly dependencies?: object
    readonly peerDependencies: object
    readonly exports: Readonly<Record<string, { readonly [condition: string]: string } | string | null>>
  }

  it("asks for effect and for nothing else", () => {
    assert.isUndefined(manifest.dependencies)
    assert.deepStrictEqual(Object.keys(manifest.peerDependencies), ["effect"])
    assert.strictEqual(manifest.sideEffects, false)
  })

  it("every entry has its source, its types and its code, in this order", () => {
    for (const [entry, target] of Object.entries(manifest.exports)) {
      if (typeof target === "string" || target === null) continue
      assert.deepStrictEqual(Object.keys(target), ["effect-resilience-source", "types", "default"], entry)
      const source = target["effect-resilience-source"]!
      if (!source.includes("*")) assert.isTrue(existsSync(`${root}/${source}`), source)
      assert.strictEqual(target["default"], source.replace("./src", "./dist").replace(/\.ts$/, ".js"))
      assert.strictEqual(target["types"], source.replace("./src", "./dist").replace(/\.ts$/, ".d.ts"))
    }
  })

  it("the index exports every public module", () => {
    const index = read("src/index.ts")
    const modules = glob("src/*.ts").map((file) => file.replace(/^src\/(\w+)\.ts$/, "$1"))
    // reached by its own path, because it brings `effect/persistence` and with it Schema
    const apart = new Set(["EffectCircuitBreaker", "RateLimit"])
    assert.notMatch(index, /EffectCircuitBreaker|RateLimit/)
    for (const module of modules.filter((name) => name !== "index" && !apart.has(name))) {
      assert.match(index, new RegExp(`export (\\* as ${module}|\\{ ${module} \\}) from "\\./${module}\\.ts"`))
    }
  })
})

describe("bundles", () => {
  const entries = glob("src/{*,http/index,sql/index,ai/index,schema/index}.ts").map((file) =>
    file.replace(/^src\/(.+?)(\/index)?\.ts$/, "effect-resilience/$1").replace("/index", "")
  )

  /** What esbuild cannot see through, but other bundlers can: a getter whose key is computed, which is a constant here. */
  const seenThrough = (text: string): string => text.replace(/\bget \[(\w+)\]\(\)/g, "get $1()")

  /** All of Effect is without side effects; of our own modules every statement is looked at, as if `sideEffects` were not there. */
  const statementByStatement: Plugin = {
    name: "statement by statement",
    setup({ onLoad, onResolve, resolve }) {
      const asked = {}
      onResolve({ filter: /^effect($|\/)/ }, ({ path }) => ({ path, external: true, sideEffects: false }))
      onResolve({ filter: /^(\.|effect-resilience)/ }, async ({ importer, kind, path, pluginData, resolveDir }) => {
        if (pluginData === asked) return undefined
        return { ...(await resolve(path, { importer, kind, pluginData: asked, resolveDir })), sideEffects: true }
      })
      onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => ({
        contents: seenThrough(readFileSync(path, "utf8")),
        loader: "ts"
      }))
    }
  }

  /** The code that stays of modules of which nothing is used. A number that is computed stays in esbuild: no mark helps there. */
  const leftOf = async (contents: string): Promise<ReadonlyArray<string>> => {
    const { outputFiles } = await build({
      stdin: { contents, loader: "js", resolveDir: root },
      absWorkingDir: root,
      conditions: ["effect-resilience-source"],
      plugins: [statementByStatement],
      bundle: true,
      format: "esm",
      minifySyntax: true,
      target: "es2023",
      write: false
    })
    const number = String.raw`\w+ = [\d.e\s*/+-]+`
    return outputFiles[0]!.text
      .replace(new RegExp(`^var ${number}(, ${number})*;\\n`, "gm"), "")
      .split(/^(?=\/\/ src\/)/m)
      .filter((piece) => !/^\/\/ \S+\n?$/.test(piece.trim()) && piece.trim() !== "")
  }

  it("nothing is left of a module of which nothing is used: what is made by a call is marked pure", async () => {
    assert.include(entries, "effect-resilience/http")
    assert.include(entries, "effect-resilience/Backoff")
    assert.deepStrictEqual(await leftOf(entries.map((entry, i) => `import * as X${i} from "${entry}"`).join("\n")), [])
  })

  it("what is used is left", async () => {
    const left = await leftOf(`import { exponential } from "effect-resilience/Backoff"; globalThis.used = exponential`)
    assert.isTrue(left.some((piece) => piece.startsWith("// src/Backoff.ts")))
    const call = await leftOf(
      `import { withResilience } from "effect-resilience/Policy"; globalThis.used = withResilience`
    )
    assert.match(call.join(""), /evaluated\(Call, /)
  })
})

/** The names of a module of Effect that are marked unstable or experimental. */
const unstable = (module: string): ReadonlySet<string> => {
  const path = `${root}/node_modules/effect/src/${module}.ts`
  const known = unstableOf.get(module)
  if (known !== undefined) return known
  const text = existsSync(path) ? readFileSync(path, "utf8") : ""
  const names = new Set(
    [
      ...text.matchAll(
        /@stability (?:unstable|experimental)\b(?:(?!\*\/)[\s\S])*\*\/\s*export (?:declare )?(?:const|function|class|interface|type|namespace) (\w+)/g
      )
    ].map(([, name]) => name!)
  )
  unstableOf.set(module, names)
  return names
}
const unstableOf = new Map<string, ReadonlySet<string>>()
