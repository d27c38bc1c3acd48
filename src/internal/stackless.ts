// Makes an error without capturing a stack trace. A rejection says what was refused and why; where it was made is always the
// same line of this library, and finding that out costs more than the call it replaces.
export const stackless = <A>(make: () => A): A => {
  const limit: unknown = Reflect.get(Error, "stackTraceLimit")
  // `Reflect.set`, because the assignment throws where `Error` is frozen
  Reflect.set(Error, "stackTraceLimit", 0)
  try {
    return make()
  } finally {
    Reflect.set(Error, "stackTraceLimit", limit)
  }
}
