import { defineConfig } from "vitest/config"

/** Tests that look at real time: sockets, servers, processes. They have the machine for themselves. */
const realTime = [
  "test/examples/**/*.test.ts",
  "test/http/**/*.test.ts",
  "test/sql/**/*.postgres.test.ts",
  "test/**/*.redis.test.ts"
]

export default defineConfig({
  resolve: { conditions: ["effect-resilience-source"] },
  ssr: { resolve: { conditions: ["effect-resilience-source", "node", "import", "module", "default"] } },
  test: {
    testTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "virtual time",
          include: ["test/**/*.test.ts"],
          exclude: realTime,
          maxWorkers: "100%",
          sequence: { groupOrder: 0 }
        }
      },
      {
        extends: true,
        test: { name: "real time", include: realTime, maxWorkers: 1, sequence: { groupOrder: 1 } }
      }
    ],
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text", "json-summary"],
      thresholds: { lines: 97, branches: 97 }
    }
  }
})
