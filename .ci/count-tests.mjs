// Prints "PASSED FAILED" for a JSON report of vitest: `node .ci/count-tests.mjs report.json`, or with --list the names of what
// failed. A skipped or unfinished test counts as failed, and so does a file that could not be loaded. Runs on Node 20.
import { readFileSync } from "node:fs"

const [path, list] = process.argv.slice(2)
const files = JSON.parse(readFileSync(path, "utf8")).testResults

const tests = files.flatMap((file) =>
  file.assertionResults.length > 0
    ? file.assertionResults.map((test) => ({ name: `${file.name}: ${test.fullName}`, status: test.status }))
    : [{ name: `${file.name}: ${file.message || "has no test"}`, status: "failed" }]
)
const bad = tests.filter((test) => test.status !== "passed")

if (list === "--list") for (const { name, status } of bad) console.log(`    ${status}: ${name}`)
else console.log(`${tests.length - bad.length} ${bad.length}`)
