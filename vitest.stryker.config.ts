// For the mutation test: the tests that take a long look at real time, sockets, servers or every operation of the runtime stay out of it.
import { defineConfig, mergeConfig } from "vitest/config"
import base from "./vitest.config.ts"

export default mergeConfig(
  base,
  defineConfig({
    test: {
      exclude: [
        "test/interruption.test.ts",
        "test/leak.test.ts",
        "test/examples/**",
        "test/http/**",
        "test/sql/**",
        // looks at the text of the sources
        "test/schema/**",
        "test/**/*.redis.test.ts",
        "test/docs.test.ts",
        "test/package.test.ts"
      ]
    }
  })
)
