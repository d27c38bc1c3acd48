import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { conditions: ["effect-resilience-source"] },
  ssr: { resolve: { conditions: ["effect-resilience-source", "node", "import", "module", "default"] } },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text", "json-summary"],
      thresholds: { lines: 97, branches: 97 }
    }
  }
})
