import { assert, describe, it } from "@effect/vitest"
import { isOver, meaningOfConnection, meaningOfServer } from "../../src/sql/driver.ts"
import type { Meaning } from "../../src/sql/sqlState.ts"
import { sqlError } from "./fake.ts"

type Fields = Readonly<Record<string, unknown>>

const reasonOf = (fields: Fields) => sqlError("UnknownError", fields).reason

/** What an error may have for a cause that is none. */
const nothing = [undefined, null, "SQLITE_BUSY", 1205, () => {}]

const without = (cause: unknown) => {
  const { reason } = sqlError("UnknownError")
  return Object.assign(Object.create(reason) as typeof reason, { cause })
}

describe("meaningOfServer", () => {
  const table: ReadonlyArray<readonly [meaning: Meaning | undefined, ...errors: ReadonlyArray<Fields>]> = [
    [
      "contention",
      ...["DEADLOCK", "WAIT_TIMEOUT", "NOWAIT"].map((name) => ({ code: `ER_LOCK_${name}` })),
      { code: "ER_CHECKREAD" },
      ...["BUSY", "BUSY_SNAPSHOT", "LOCKED", "LOCKED_SHAREDCACHE", "PROTOCOL"].map((name) => ({
        code: `SQLITE_${name}`
      })),
      ...[5, 6, 15, 261, 517].map((errcode) => ({ code: "ERR_SQLITE_ERROR", errcode })),
      ...[1205, 1222, 3960, 41_301, 41_302, 41_305, 41_325].map((number) => ({ number }))
    ],
    [
      "undone",
      ...["QUERY_TIMEOUT", "OUT_OF_RESOURCES", "LOCK_TABLE_FULL"].map((name) => ({ code: `ER_${name}` })),
      ...["FULL", "NOMEM", "INTERRUPT"].map((name) => ({ code: `SQLITE_${name}` })),
      ...[7, 9, 13].map((errcode) => ({ errcode })),
      ...[701, 1204, 8645, 8651].map((number) => ({ number }))
    ],
    [
      "crowded",
      ...["CON_COUNT_ERROR", "TOO_MANY_USER_CONNECTIONS", "USER_LIMIT_REACHED", "TOO_MANY_CONCURRENT_TRXS"].map(
        (name) => ({
          code: `ER_${name}`
        })
      ),
      ...[10_928, 10_929, 40_501, 49_918, 49_919, 49_920].map((number) => ({ number }))
    ],
    [
      "not begun",
      { code: "ER_CLIENT_INTERACTION_TIMEOUT" },
      { code: "SQLITE_CANTOPEN" },
      { errcode: 14 },
      { number: 40_613 }
    ],
    ["lost", { number: 40_197 }],
    [
      "final",
      { code: "ER_HOST_NOT_PRIVILEGED" },
      { code: "ER_HOST_IS_BLOCKED" },
      ...["AUTH", "CONSTRAINT_UNIQUE", "MISMATCH", "PERM", "RANGE", "TOOBIG"].map((name) => ({
        code: `SQLITE_${name}`
      })),
      ...["ELOGIN", "EFEDAUTH", "EENCRYPT"].map((code) => ({ code }))
    ],
    [
      undefined,
      {},
      { code: 5 },
      { code: "SQLITE_ERROR" },
      { code: "SQLITE_BUSYBODY" },
      { code: "ER_LOCK_DEADLOCKS" },
      { errcode: 1 },
      { errcode: "5" },
      { number: 8134 },
      { number: "1205" },
      { code: "40001" }
    ]
  ]
  for (const [meaning, ...errors] of table) {
    it(`${meaning ?? "not known"}: ${errors.map((error) => JSON.stringify(error)).join(", ")}`, () => {
      for (const error of errors) assert.strictEqual(meaningOfServer(reasonOf(error)), meaning, JSON.stringify(error))
    })
  }

  it("is looked for in whatever was thrown", () => {
    for (const cause of nothing) assert.isUndefined(meaningOfServer(without(cause)))
  })
})

describe("meaningOfConnection", () => {
  // the session may go on
  const timeouts = new Set<unknown>(["PROTOCOL_SEQUENCE_TIMEOUT", "ETIMEOUT"])
  const lost: ReadonlyArray<Fields> = [
    ...["ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"].map((code) => ({ code })),
    ...["PROTOCOL_CONNECTION_LOST", "PROTOCOL_SEQUENCE_TIMEOUT"].map((code) => ({ code })),
    { fatal: true },
    ...["ESOCKET", "ECLOSE", "ETIMEOUT"].map((code) => ({ code })),
    { code: "EINVALIDSTATE", message: "Requests can only be made in the LoggedIn state, not the Final state" },
    ...["HRANA_WEBSOCKET_ERROR", "HRANA_CLOSED_ERROR"].map((code) => ({ code })),
    ...["CONNECTION_CLOSED", "CONNECTION_DESTROYED"].map((code) => ({ code })),
    { code: "ESOCKET", cause: { code: "ECONNRESET" } }
  ]
  for (const error of lost) {
    it(`lost: ${JSON.stringify(error)}`, () => {
      assert.strictEqual(meaningOfConnection(reasonOf(error)), "lost")
      assert.strictEqual(isOver(reasonOf(error)), !timeouts.has(error["code"]))
    })
  }

  const notBegun: ReadonlyArray<Fields> = [
    ...["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EINSTLOOKUP", "CONNECT_TIMEOUT"].map((code) => ({ code })),
    ...["ETIMEDOUT", "ECONNRESET", "EHOSTUNREACH"].map((code) => ({ code, syscall: "connect" })),
    { code: "ESOCKET", cause: { code: "ECONNREFUSED" } }
  ]
  for (const error of notBegun) {
    it(`not begun: ${JSON.stringify(error)}`, () =>
      assert.strictEqual(meaningOfConnection(reasonOf(error)), "not begun"))
  }

  const unknown: ReadonlyArray<Fields> = [
    {},
    { fatal: false },
    { fatal: "true" },
    { code: "ECANCEL" },
    {
      code: "EINVALIDSTATE",
      message: "Requests can only be made in the LoggedIn state, not the SentClientRequest state"
    },
    { code: "CERT_HAS_EXPIRED" },
    { code: "ERR_INVALID_ARG_TYPE" }
  ]
  for (const error of unknown) {
    it(`not known: ${JSON.stringify(error)}`, () => {
      assert.isUndefined(meaningOfConnection(reasonOf(error)))
      assert.isFalse(isOver(reasonOf(error)))
    })
  }

  it("is looked for in whatever was thrown", () => {
    for (const cause of nothing) assert.isUndefined(meaningOfConnection(without(cause)))
  })
})
