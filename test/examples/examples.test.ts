// Runs every numbered example as its reader does, and looks for the lines that would be others if the library misbehaved. The
// first example, the one of `npm start`, 16 and 20 have tests of their own.
import { execFile } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "../..")

/** Of each example some lines of its output, in their order. A RegExp stands for a line with a time in it. */
const expected: { readonly [file: string]: ReadonlyArray<string | RegExp> } = {
  "02-typed-faults.ts": [
    "  attempt 3: GET /quotes/EUR",
    "  -> 1.08; waited for Retry-After: true",
    "  attempt 1: GET /quotes/ZZZ",
    "  -> there is no symbol ZZZ",
    "  attempt 3: GET /quotes/JPY",
    "  -> gave up after 3 attempts (reason: schedule): quotes.example is away",
    "  -> RetryExhausted: no quote for now",
    "  attempt 3: GET /quotes/GBP",
    "  -> ready"
  ],
  "03-backoff-shapes.ts": [
    "  retry 4  |                                        ●          |   800 …  800 …  800 ms",
    "  retry 6  |                                                  ●|  1000 … 1000 … 1000 ms",
    /^ {2}retry 1 {2}\|─+●─+ +\| {5}\d … {3}\d\d … {2}\d+ ms$/,
    /^ {2}retry 1 {2}\| {3}─●─ +\| {4}5\d … {3}\d\d … {2}\d+ ms$/,
    /^ {2}retry 6 {2}\| {5}─+●─+\| {3}10\d … .* … 1000 ms$/,
    "  retry 6  |                                        ●          |   800 …  800 …  800 ms",
    "times(3)              retries: 3",
    'within("2 seconds")   delays:  100, 200, 400, 800',
    "sequence([…])         delays:  10, 50, 250",
    "immediateFirst        delays:  0, 250, 250",
    "Effect.retry          attempts: 3"
  ],
  "04-breaker-and-budget-layers.ts": [
    "  a.example: RetryExhausted",
    "  a.example: RetryExhausted",
    "  [a.example closed -> open]",
    "  a.example: CircuitOpen",
    "  requests sent: 4; retries left in the budget: 8",
    "  state of a.example: open",
    "  b.example: a page of b.example",
    "  state of a.example: half-open",
    "  a.example: a page of a.example",
    "  [a.example half-open -> closed]",
    "  b.example: CircuitOpen",
    "  [b.example closed -> isolated]",
    "  b.example: a page of b.example",
    "  snapshots: a.example closed, b.example closed",
    "a layer provided at the call: the breaker never opens",
    "  requests sent: 6"
  ],
  "05-deadlines.ts": [
    "outside, there is time for ever",
    "  prices.get: asking, with at most 400 ms left",
    "  -> DeadlineExceeded: GET /page did not finish within 400ms",
    "  -> deadline",
    "     at once: true",
    "  prices.get: asking, with at most 200 ms left",
    "  -> 42",
    "  page:  POST /order did not finish within 50ms",
    "  audit: written, with time for ever"
  ],
  "06-stale-fallback.ts": [
    "  1 EUR = 1.08 USD",
    "  ABC is not a currency",
    "the source goes down",
    /^ {2}1 EUR = 1\.08 USD \(stale, from \d+ ms ago\)$/,
    "  JPY: no rate at the moment, please try again later",
    "  USD: no rate at the moment, please try again later",
    "the source is back",
    "  1 EUR = 1.08 USD",
    "  1 EUR = 170.4 JPY"
  ],
  "07-idempotent-order.ts": [
    /^ {2}the client got an error: orders\.create failed after 1 attempt in .*; it is not idempotent/,
    "  orders stored: 1",
    '  the client got {"id":2,"item":"book"}',
    "  orders stored: 2",
    '  the client got {"id":1,"item":"book"}',
    "  orders stored: 1",
    '  the client got [{"id":1,"item":"book"},{"id":1,"item":"book"}]',
    "  orders stored: 1",
    '  the client got [{"id":1,"item":"book"},{"id":2,"item":"book"}]',
    "  orders stored: 2"
  ],
  "08-llm-changing-prompt.ts": [
    "  invoice 1 for ada: 42.50",
    "    > The total of invoice 1, please.",
    '    > The total of invoice 1, please. You said "about forty", but that is not a number.',
    "    requests: 3, because the first found the model overloaded",
    "  a smudged invoice for ada: no total; attempts: 3, reason: schedule",
    "    prompts: 3, different ones: 3",
    "  invoice 2 for ada: no total; attempts: 1, reason: budget of app/PerUser",
    "  invoice 2 for bob: 42.50",
    "  invoice 3 for dora: 42.50",
    "  invoice 3 for eve: no total; attempts: 1, reason: budget of nightly import",
    "  left: ada 0, bob 2, carl 2, dora 2, eve 3"
  ],
  "09-testing-a-policy.ts": [
    "ok  one failure is retried, within the jitter",
    "ok  a permanent error comes out at once",
    "ok  a call that hangs ends at its deadline",
    "ok  the same seed gives the same delays",
    "ok  the breaker opens, and rejects without an attempt"
  ],
  "10-your-own-guard.ts": [
    "  a report, a report, a report, a report; at most 2 at a time",
    "  the fifth: GateFull",
    "  a report, a report; running: 0",
    "  now: UnderMaintenance",
    "  later: a report"
  ],
  "11-graceful-shutdown.ts": [
    "  report: attempt 1 begins",
    "SIGTERM: from now on there is no new retry",
    "  invoice: done",
    "  mailing: given back; reason: draining, attempts: 1, error: NetworkError",
    "the grace period is over",
    "  report: given back, interrupted",
    "bye"
  ],
  "12-bulkhead.ts": [
    "  3 × 1.08, 7 × BulkheadFull; at most 3 requests at a time",
    /^ {2}the bulkhead app\/Quotes refused the call: .* Try again in about \d+ms$/,
    "  a guard of the policy: 0 slots taken",
    "  around the policy: 3 slots taken",
    "  refresh: refused, displaced",
    "  backup: refused, displaced",
    "  report: done",
    "  payment: done",
    "  login: done",
    "  ada: 2 × 1.08, 4 × BulkheadFull",
    "  bob: 2 × 1.08, 4 × BulkheadFull",
    "  ada: 2 × 1.08, 4 × BulkheadFull",
    "  bob: 4 × 1.08, 2 × BulkheadFull"
  ],
  "13-adaptive-limit.ts": [
    /^ {2}each second 200 are served, in 3\d\d ms each, and 19\d turned away$/,
    "  the limit: 5",
    /^ {2}the limit: (1[4-9]|2[0-3])$/,
    /^ {2}each second 1[789]\d are served, in 1[01]\d ms each, and 0 turned away$/,
    "half of the dependency fails",
    /^ {2}the limit: ([7-9]|1[0-3])$/,
    /^ {2}each second [89]\d are served, in 1[012]\d ms each, and 0 turned away$/,
    "it is whole again, and one call in five is critical",
    /^ {2}refused each second: \d of 80 critical calls, and 2\d\d of the 320 others$/
  ],
  "14-throttle.ts": [
    "  without a throttle it gets 1000, and serves 100",
    /^ {2}with one it serves 100, and gets 2\d\d$/,
    "  requests: 1000, accepts: 100, rejection rate: 0.8",
    /^ {2}the throttle app\/Quotes refused the call, which was not sent: /,
    "  critical: 0 of 50 refused",
    /^ {2}the others: 7\d\d of 950 refused$/,
    "  it gets 1000, and serves 1000"
  ],
  "17-chaos.ts": [
    "ten calls a second, and what becomes of them",
    "                              answered  wrong  failed  refused  injected",
    "   0 s  all is well                100      0       0        0         0",
    /^ +10 s +one in four fails +100 +0 +0 +0 +[1-9]\d$/,
    /^ +20 s +all fail +0 +0 +\d+ +[1-9]\d +[1-9]\d$/,
    /^ +30 s +all is well again +[1-9]\d +0 +0 +\d+ +0$/,
    /^ +40 s +one in four is slow +100 +0 +0 +0 +[1-9]\d$/,
    /^ +50 s +wrong prices +[1-9]\d +[1-9]\d +0 +0 +[1-9]\d$/,
    "the same, but somebody pulls the switch when all fail",
    /^ +20 s +all fail +[1-9]\d +0 +\d+ +\d+ +[1-9]\d$/,
    "  40 s  one in four is slow        100      0       0        0         0",
    "  50 s  wrong prices               100      0       0        0         0"
  ],
  "18-http-client.ts": [
    "  server: attempt 3: GET /quotes/EUR",
    "  -> 1.08",
    "  server: attempt 2: GET /quotes/GBP",
    "  -> 0.85",
    "  server: attempt 1: GET /quotes/ZZZ",
    "  -> there is no symbol ZZZ",
    "  server: attempt 1: POST /orders",
    "  -> RetryExhausted: the dependency may have acted, and POST has no idempotency key"
  ],
  "22-payment-post.ts": [
    /^ {2}payments failed after 1 attempt .* the dependency may have acted, and POST has no idempotency key$/,
    "  charged: 100",
    '  charge 1: {"amount":100,"currency":"EUR"}',
    "  charged: 100",
    '  press 1: charge 1: {"amount":200,"currency":"EUR"}',
    '  press 2: charge 1: {"amount":200,"currency":"EUR"}',
    "  charged: 200"
  ],
  "19-http-server.ts": [
    "    the server begins, with its own deadline",
    "  -> 200 the report",
    "    the server begins, with its client's deadline",
    "    the server stops, because nobody waits any more",
    "  -> 504 urn:effect-resilience:timed-out",
    "a report for a client that waits no more",
    "  -> 504 urn:effect-resilience:timed-out",
    "  a backup -> 503 urn:effect-resilience:unavailable",
    "  a stranger -> 503 urn:effect-resilience:unavailable",
    "    the server has done: first",
    "    the server has done: a login",
    "  -> the connection is lost",
    "  sent again     -> 409 urn:effect-resilience:idempotency-key-in-progress",
    '  and again      -> 201 {"payment":1}',
    "  another amount -> 422 urn:effect-resilience:idempotency-key-reused",
    "  payments made: 1"
  ],
  "21-llm-budgets-failover.ts": [
    "  ada: HELLO (first); requests: 1 + 0",
    "  ada: AiError: ContentPolicyError; requests: 1 + 0",
    "  ada: HELLO (second); requests: 1 + 1",
    "  ada: HELLO (second); requests: 3 + 1",
    "  ada: HELLO (second); requests: 0 + 1",
    "  bob: GOOD | MORNING | TO | YOU",
    "  ada: ONE (second); requests: 0 + 2",
    "  ada: RetryExhausted: budget of app/PerUser; requests: 0 + 1",
    "  bob: THREE (second); requests: 0 + 2",
    "  carl: HELLO CARL (second); requests: 0 + 2",
    "  dora: RetryExhausted: budget of nightly import; requests: 0 + 1",
    "  circuits: first open, second closed"
  ],
  "15-rate-limit.ts": [
    "  10 served, 2 refused (wait); requests sent: 10",
    "  refused (wait); tokens left: 0",
    "  3 served; requests sent: 4, one of them for nothing",
    "  5 served, 3 refused (limit)"
  ]
}

const files = readdirSync(join(root, "examples")).filter(
  (file) => /^\d\d-.*\.ts$/.test(file) && !/^(01|16|20)-/.test(file)
)

interface Ended {
  readonly code: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

const run = (file: string): Promise<Ended> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      ["--conditions=effect-resilience-source", join("examples", file)],
      // the environment of a plain terminal: what vitest sets (colours, options of Node) would show on stderr
      { cwd: root, env: { PATH: process.env["PATH"] }, timeout: 30_000 },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : (error.code ?? error.signal), stdout, stderr })
    )
  })

/** The first of the lines that does not come, after those before it. */
const missing = (stdout: string, lines: ReadonlyArray<string | RegExp>): string | RegExp | undefined => {
  const rest = stdout.split("\n")
  return lines.find((line) => {
    const at = rest.findIndex((printed) => (typeof line === "string" ? printed === line : line.test(printed)))
    if (at >= 0) rest.splice(0, at + 1)
    return at < 0
  })
}

describe("examples", () => {
  it("are all there, and of each something is expected", () => {
    expect([...files].sort()).toEqual(Object.keys(expected).sort())
    expect(Object.values(expected).every((lines) => lines.length > 0)).toBe(true)
  })

  // One at a time: their delays are real, if small, and want a quiet machine.
  it.each(files)("%s", async (file) => {
    const { code, stderr, stdout } = await run(file)
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" })
    expect(missing(stdout, expected[file] ?? []), `this line is missing in:\n${stdout}`).toBeUndefined()
  })
})
