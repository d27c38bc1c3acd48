import { assert, describe, it } from "@effect/vitest"
import { meaningOf, severityOf, type Meaning } from "../../src/sql/sqlState.ts"
import { sqlError } from "./fake.ts"

const reasonOf = (cause: { readonly [field: string]: unknown }) => sqlError("UnknownError", cause).reason

describe("meaningOf", () => {
  const table: ReadonlyArray<readonly [state: string, meaning: Meaning | undefined]> = [
    ["40001", "contention"],
    ["40P01", "contention"],
    ["40000", "contention"],
    ["55P03", "contention"],
    ["40002", "final"],
    ["40003", "lost"],
    ["53000", "undone"],
    ["53100", "undone"],
    ["53200", "undone"],
    ["53300", "crowded"],
    ["53400", "undone"],
    ["57014", "undone"],
    ["25P03", "undone"],
    ["25P04", "undone"],
    ["57P03", "not begun"],
    ["57P05", "not begun"],
    ["08001", "not begun"],
    ["08004", "not begun"],
    ["08000", "lost"],
    ["08003", "lost"],
    ["08006", "lost"],
    ["08007", "lost"],
    ["08P01", "lost"],
    ["08S01", "lost"],
    ["57P01", "lost"],
    ["57P02", "lost"],
    ["58000", "lost"],
    ["58030", "lost"],
    ["70100", "undone"],
    ["0A000", "final"],
    ["22012", "final"],
    ["23505", "final"],
    ["25P02", "final"],
    ["28P01", "final"],
    ["3D000", "final"],
    ["3F000", "final"],
    ["42601", "final"],
    ["44000", "final"],
    ["54001", "final"],
    ["P0001", "final"],
    ["25006", undefined],
    ["55006", undefined],
    ["57P04", undefined],
    ["XX000", undefined],
    ["HY000", undefined],
    ["", undefined],
    ["constructor", undefined],
    // error codes of the operating system look alike
    ["EPIPE", undefined],
    ["ECONNRESET", undefined]
  ]
  for (const [state, meaning] of table) {
    it(`${state === "" ? "none" : state}: ${meaning ?? "not known"}`, () => {
      assert.strictEqual(meaningOf(reasonOf({ code: state })), meaning)
    })
  }

  it("is looked for in whatever was thrown", () => {
    for (const cause of [undefined, null, "40001", 40_001, () => {}, {}, { code: 40_001 }, { code: undefined }]) {
      const { reason } = sqlError("UnknownError")
      assert.isUndefined(meaningOf(Object.assign(Object.create(reason) as typeof reason, { cause })))
    }
  })

  it("MySQL's clients have the SQLSTATE beside a code of their own", () => {
    const reason = reasonOf({ code: "ER_LOCK_DEADLOCK", errno: 1213, sqlState: "40001" })
    assert.strictEqual(meaningOf(reason), "contention")
  })
})

describe("severityOf", () => {
  it("in English, whatever the server's locale", () => {
    assert.strictEqual(severityOf(reasonOf({ severity: "FEHLER", severityUnlocalized: "ERROR" })), "ERROR")
    assert.strictEqual(severityOf(reasonOf({ severity: "FATAL" })), "FATAL")
    assert.isUndefined(severityOf(reasonOf({})))
  })
})
