// Documentation is code: every ```ts fence of the README and of the doc comments is compiled, and run where it says what comes out.
//
//   ```ts         compiles. Its lines `expression // => value` are run, and have to be true
//   ```ts wrong   does not compile, and that exactly on the lines that say so: `// does not compile`
//
// A fence with imports is a whole program. One without may use what earlier fences of the same Markdown page declare, and
// test/docs/prelude.ts.
import { execFile } from "node:child_process"
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

const root = join(import.meta.dirname, "..")
const read = (file: string): string => readFileSync(join(root, file), "utf8")

// -- the fences --------------------------------------------------------------------------------------------------------

interface Fence {
  readonly doc: string
  /** Of the opening line, from 1. */
  readonly line: number
  readonly language: string
  readonly wrong: boolean
  readonly code: ReadonlyArray<string>
}

/** Languages that need no compiling: output, commands, and the other libraries of the README's comparison. */
const others: ReadonlySet<string> = new Set(["text", "sh", "csharp", "java", "python"])

const fencesOf = (doc: string, text: string): ReadonlyArray<Fence> => {
  const fences: Array<Fence> = []
  // in a doc comment every line begins with a star
  const margin = doc.endsWith(".ts") ? /^\s*\* ?/ : /^/
  let open: { line: number; info: string; code: Array<string> } | undefined
  for (const [index, whole] of text.split("\n").entries()) {
    const line = whole.replace(margin, "")
    if (open === undefined) {
      if (!line.trimStart().startsWith("```")) continue
      assert.match(line, /^```/, `${doc}:${index + 1}: a fence that is indented is not compiled`)
      assert.isTrue(margin.test(whole), `${doc}:${index + 1}: a fence outside of a doc comment`)
      open = { line: index + 1, info: line.slice(3).trim(), code: [] }
    } else if (line.trim() === "```") {
      const [language = "", ...rest] = open.info.split(" ")
      fences.push({ doc, line: open.line, language, wrong: rest.join(" ") === "wrong", code: open.code })
      const known = rest.length === 0 || (language === "ts" && rest.join(" ") === "wrong")
      assert.isTrue(known && (language === "ts" || others.has(language)), `${doc}:${open.line}: \`\`\`${open.info}`)
      open = undefined
    } else {
      open.code.push(line)
    }
  }
  assert.isUndefined(open, `${doc}: a fence that does not end`)
  return fences
}

const docs = [
  ...globSync("*.md", { cwd: root }),
  "test/README.md",
  ...globSync("src/**/*.ts", { cwd: root })
].toSorted()
const fences = docs.flatMap((doc) => fencesOf(doc, read(doc)))
const snippets = fences.filter(({ language }) => language === "ts")
const at = ({ doc, line }: Fence): string => `${doc}:${line}`

// -- a module of each --------------------------------------------------------------------------------------------------

const moduleOf = (fence: Fence): string => `${fence.doc.replace(/\W/g, "_")}_${fence.line}.ts`

const expectation = /^(.*\S);?\s+\/\/ => (.+)$/
const isRun = ({ code }: Fence): boolean => code.some((line) => expectation.test(line))
const isWhole = ({ code }: Fence): boolean => code.some((line) => /^import\b/.test(line))

const declaration = /^(?:export )?(?:declare )?(?:abstract )?(const|let|class|function|interface|type|enum) (\w+)/

const declared = ({ code }: Fence): ReadonlyArray<{ readonly name: string; readonly type: boolean }> =>
  code.flatMap((line) => {
    const [, keyword, name] = declaration.exec(line) ?? []
    return name === undefined ? [] : [{ name, type: keyword === "interface" || keyword === "type" }]
  })

/** Where a name comes from; what comes later goes over what comes earlier. */
interface Source {
  readonly from: string
  readonly type: boolean
}

const prelude: ReadonlyMap<string, Source> = new Map(
  [...read("test/docs/prelude.ts").matchAll(/export (type )?\{([^}]*)\}/g)].flatMap(([, type, names]) =>
    names!.split(",").map((name) => [name.trim(), { from: "./prelude.ts", type: type !== undefined }] as const)
  )
)

/** The first line of a module; the snippet begins on the second. */
const header = (fence: Fence): string => {
  const known = new Map(prelude)
  if (fence.doc.endsWith(".md")) {
    for (const earlier of snippets.filter(({ doc, line, wrong }) => doc === fence.doc && line < fence.line && !wrong)) {
      for (const { name, type } of declared(earlier)) known.set(name, { from: `./${moduleOf(earlier)}`, type })
    }
  }
  for (const { name } of declared(fence)) known.delete(name)
  const text = fence.code.join("\n")
  const imports = [...known]
    .filter(([name]) => !isWhole(fence) && new RegExp(`(?<![\\w.])${name}\\b`).test(text))
    .map(([name, { from, type }]) => `import ${type ? "type " : ""}{ ${name} } from "${from}"`)
  return [...imports, `import { equal as $equal } from "./equal.ts"`, "void $equal"].join("; ")
}

const source = (fence: Fence): string =>
  [
    header(fence),
    ...fence.code.map((line) =>
      declaration.test(line) && !line.startsWith("export ")
        ? `export ${line}`
        : line.replace(expectation, (_, expression: string, value: string) => `$equal(${expression}, ${value})`)
    ),
    "export {}",
    ""
  ].join("\n")

// -- compiling and running them ----------------------------------------------------------------------------------------

/** What the README says of its first policy, and that it is true. */
const firstPolicy = (module: string): string => `
import { deepStrictEqual } from "node:assert/strict"
import { Effect, Exit, Layer } from "effect"
import { CircuitBreaker, Deadline, Policy, withResilience } from "effect-resilience"
import { eur, main, quotes, QuotesBreaker, UpstreamBudget } from "./${module}"
import { getQuote, type NetworkError, type Quote, type TooManyRequests, type UnknownSymbol } from "./quotes.ts"

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type Error =
  | UnknownSymbol
  | Policy.RetryExhausted<NetworkError | TooManyRequests | Policy.AttemptTimeout>
  | CircuitBreaker.CircuitOpen
  | Deadline.DeadlineExceeded
const success: Equal<Effect.Success<typeof eur>, Quote> = true
const error: Equal<Effect.Error<typeof eur>, Error> = true
const services: Equal<Effect.Services<typeof eur>, QuotesBreaker | UpstreamBudget> = true

deepStrictEqual([success, error, services], [true, true, true])
deepStrictEqual((await Effect.runPromise(main)).price, 1.08)

const layer = Layer.mergeAll(QuotesBreaker.layer, UpstreamBudget.layer)
const ended = (symbol: string) => Effect.exit(getQuote(symbol).pipe(withResilience(quotes)))
const [unknown, down] = await Effect.runPromise(
  Effect.all([ended("ZZZ"), ended("DOWN")]).pipe(Effect.provide(layer))
)
const reasonOf = (exit: Exit.Exit<unknown, Error>) =>
  Exit.isFailure(exit) ? exit.cause.reasons.map((reason) => (reason._tag === "Fail" ? reason.error._tag : "")) : []
deepStrictEqual([reasonOf(unknown), reasonOf(down)], [["UnknownSymbol"], ["RetryExhausted"]])
`

const runner = (modules: ReadonlyArray<string>): string => `
const failed: Record<string, string> = {}
for (const module of ${JSON.stringify(modules)}) {
  try {
    await import(\`./\${module}\`)
  } catch (error) {
    failed[module] = error instanceof Error ? String(error.stack) : String(error)
  }
}
console.log("\\n" + JSON.stringify(failed))
`

const equal = `
import { deepStrictEqual } from "node:assert/strict"
export const equal = (actual: unknown, expected: unknown): void => deepStrictEqual(actual, expected)
`

let folder = ""

/** Runs Node in the folder of the modules. */
const node = (...args: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve) => {
    // the environment of a plain terminal: what vitest sets would change what is printed
    const options = { cwd: folder, env: { PATH: process.env["PATH"] }, timeout: 100_000, maxBuffer: 2 ** 26 }
    execFile(process.execPath, args, options, (error, stdout, stderr) =>
      resolve(error === null ? stdout : `${stdout}${stderr}`)
    )
  })

const compile = async (): Promise<ReadonlyMap<string, ReadonlyArray<{ line: number; message: string }>>> => {
  const output = await node(join(root, "node_modules/typescript/bin/tsc"), "-p", ".", "--pretty", "false")
  const found = new Map<string, Array<{ line: number; message: string }>>()
  let last: { line: number; message: string } | undefined
  for (const text of output.split("\n").filter((line) => line !== "")) {
    const [, file, line, message] = /^([^\s(]+)\((\d+),\d+\): (.*)$/.exec(text) ?? []
    if (file === undefined) {
      // the details of a message are indented below it
      assert.isTrue(/^\s/.test(text) && last !== undefined, `tsc: ${output}`)
      last!.message += `\n${text}`
    } else {
      // the header is one line, and the snippet begins on the line after its fence
      last = { line: Number(line) - 2, message: message! }
      found.set(file, [...(found.get(file) ?? []), last])
    }
  }
  return found
}

const first = snippets.find(({ doc }) => doc === "README.md")
let diagnostics: Awaited<ReturnType<typeof compile>> = new Map()
let failures: Readonly<Record<string, string>> = {}

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "effect-resilience-docs-")))
  const write = (file: string, text: string): void => writeFileSync(join(folder, file), text)
  for (const fence of snippets) write(moduleOf(fence), source(fence))
  for (const file of ["prelude.ts", "quotes.ts"]) copyFileSync(join(root, "test/docs", file), join(folder, file))
  const run = snippets.filter((fence) => !fence.wrong && isRun(fence)).map(moduleOf)
  write("equal.ts", equal)
  write("firstPolicy.ts", first === undefined ? "" : firstPolicy(moduleOf(first)))
  write("runner.ts", runner([...run, "firstPolicy.ts"]))
  write("package.json", JSON.stringify({ private: true, type: "module" }))
  write(
    "tsconfig.json",
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        typeRoots: [join(root, "node_modules/@types")],
        // a snippet shows something, and need not use it
        noUnusedLocals: false
      },
      include: ["*.ts"]
    })
  )
  mkdirSync(join(folder, "node_modules"))
  const link = (name: string, target: string): void =>
    symlinkSync(join(root, target), join(folder, "node_modules", name), "junction")
  link("effect-resilience", ".")
  for (const name of ["effect", "cockatiel"]) link(name, `node_modules/${name}`)
  diagnostics = await compile()
  const output = await node("--conditions=effect-resilience-source", "runner.ts")
  const result = output.trimEnd().split("\n").at(-1) ?? ""
  assert.match(result, /^\{/, `the snippets did not run to their end:\n${output}`)
  failures = JSON.parse(result) as Readonly<Record<string, string>>
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const said = (fence: Fence, file = moduleOf(fence)): ReadonlyArray<string> =>
  (diagnostics.get(file) ?? []).map(({ line, message }) => `${fence.doc}:${fence.line + 1 + line}: ${message}`)

describe("snippets", () => {
  it("are found, all of them", () => {
    assert.isAbove(snippets.filter(({ doc }) => doc === "README.md").length, 15)
    assert.isAbove(snippets.filter(({ doc }) => doc.startsWith("src/")).length, 15)
    // counted in another way
    const marks = docs.reduce((n, doc) => n + (read(doc).match(/^[ \t]*(\* ?)?```/gm)?.length ?? 0), 0)
    assert.strictEqual(marks, 2 * fences.length)
  })

  it.each(snippets.map((fence) => [at(fence), fence] as const))("%s", (_, fence) => {
    if (fence.wrong) {
      const expected = fence.code.flatMap((line, i) => (line.includes("// does not compile") ? [i] : []))
      assert.isAbove(expected.length, 0, "it says nowhere: // does not compile")
      const lines = new Set((diagnostics.get(moduleOf(fence)) ?? []).map(({ line }) => line))
      assert.deepStrictEqual([...lines], expected, said(fence).join("\n"))
    } else {
      assert.deepStrictEqual(said(fence), [])
      assert.isUndefined(failures[moduleOf(fence)])
    }
  })

  it("the first policy of the README has the type it says, and runs", () => {
    assert.isDefined(first)
    assert.isAtMost(first!.code.length, 30)
    assert.deepStrictEqual(diagnostics.get("firstPolicy.ts") ?? [], [])
    assert.isUndefined(failures["firstPolicy.ts"])
  })

  it("nothing else fails to compile", () => {
    const own = new Set(snippets.map(moduleOf))
    assert.deepStrictEqual(
      [...diagnostics].filter(([file]) => !own.has(file)),
      []
    )
  })
})

// -- the README, besides its snippets ----------------------------------------------------------------------------------

describe("README", () => {
  const readme = read("README.md")

  it("every link and path leads somewhere", () => {
    const links = [...readme.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map(([, path]) => path!)
    assert.isAbove(links.length, 10)
    assert.deepStrictEqual(
      links.filter((path) => !existsSync(join(root, path))),
      []
    )
  })

  it("links to headings that are there", () => {
    const slug = (heading: string): string =>
      heading
        .toLowerCase()
        .replace(/[^\w\s-]/g, "")
        .trim()
        .replace(/\s/g, "-")
    const headings = new Set([...readme.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading!)))
    const links = [...readme.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor!)
    assert.deepStrictEqual(
      links.filter((anchor) => !headings.has(anchor)),
      []
    )
  })

  it("lists every example", () => {
    const examples = globSync("examples/[0-9]*.ts", { cwd: root }).toSorted()
    assert.deepStrictEqual(
      examples.filter((file) => !readme.includes(`](${file})`)),
      []
    )
  })

  it("names every module of the library", () => {
    const modules = globSync("src/*.ts", { cwd: root }).map((file) => file.replace(/^src\/(\w+)\.ts$/, "$1"))
    assert.deepStrictEqual(
      modules.filter((name) => name !== "index" && !new RegExp(`\\b${name}\\b`).test(readme)),
      []
    )
  })

  it("the scripts it names exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> }
    const named = [...readme.matchAll(/npm (?:run )?(start|test|bench|bundle|coverage|check|lint)\b/g)].map(
      ([, name]) => name!
    )
    assert.isAbove(named.length, 2)
    assert.deepStrictEqual(
      named.filter((name) => scripts[name] === undefined),
      []
    )
  })
})

// -- test/README.md: from each rule to its tests -----------------------------------------------------------------------

describe("test/README.md", () => {
  const rules = read("test/README.md")
    .split(/^(?=\d+\. )/m)
    .slice(1)
  const testsOf = (rule: string) =>
    [...rule.matchAll(/^ +- `([^`]+)`: (.+)$/gm)].flatMap(([, file, names]) =>
      [...names!.matchAll(/"([^"]+)"/g)].map(([, name]) => ({ file: file!, name: name! }))
    )

  it("has the rules 1 to 27, each with a test", () => {
    assert.deepStrictEqual(
      rules.map((rule) => Number.parseInt(rule, 10)),
      Array.from({ length: 27 }, (_, i) => i + 1)
    )
    assert.deepStrictEqual(
      rules.filter((rule) => testsOf(rule).length === 0),
      []
    )
  })

  it("every test it names is there", () => {
    const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
    const isThere = (file: string, name: string): boolean =>
      existsSync(join(root, "test", file)) &&
      // the title of a test or of a group, maybe on the line after
      new RegExp(`\\b(?:it|test|describe)\\b[^"'\`\n]*\\(\\s*(["'\`])${escape(name)}\\1`).test(read(`test/${file}`))
    assert.deepStrictEqual(
      rules.flatMap(testsOf).filter(({ file, name }) => !isThere(file, name)),
      []
    )
  })
})
