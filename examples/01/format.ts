// Numbers and tables as text. "-" is: there is nothing to measure.
export const percent = (rate: number | undefined): string => (rate === undefined ? "-" : `${(rate * 100).toFixed(1)} %`)

export const seconds = (ms: number | undefined): string => (ms === undefined ? "-" : `${(ms / 1000).toFixed(1)} s`)

export const millis = (ms: number | undefined): string => (ms === undefined ? "-" : `${Math.round(ms)} ms`)

/** Rows of cells as lines: the first column to the left, the others to the right. */
export const columns = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ")
  )
}

export const total = (counts: ReadonlyMap<string, number>): number =>
  Array.from(counts.values()).reduce((sum, count) => sum + count, 0)
