/**
 * contract: the one door through which time, randomness and the outside world enter.
 *
 * Owns    the types only. Implemented by node/platform.ts, sim/platform.ts and a browser's.
 * Holds   nothing else in src/ asks a clock, a random source or an event loop for anything.
 */

/** What a host must be able to do for machines. */
export interface Platform {
  /** For messages: "node", "sim", "browser". */
  readonly name: string;
  /** Milliseconds since some fixed moment, with a fraction; never goes back. */
  monotonicMs(): number;
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** Random bytes fit for keys. */
  entropy(count: number): Uint8Array;
  /** Lets every event that is ready be served, then goes on. */
  yieldToEventLoop(): Promise<void>;
  /** Calls `wake` once after `ms`; the returned function cancels. */
  after(ms: number, wake: () => void): () => void;
  /** The bytes of machine.wasm. */
  loadCore(): Promise<Uint8Array>;
  /** The bytes of pages.wasm. */
  loadPages(): Promise<Uint8Array>;
}
