// opossum ships no types; this is what the bench uses of it.
declare module "opossum" {
  export default class CircuitBreaker<A> {
    constructor(action: () => Promise<A>, options: { timeout?: number | false; resetTimeout?: number })
    fire(): Promise<A>
    open(): void
  }
}
