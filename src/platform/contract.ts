/**
 * contract: the one door through which time, randomness and the outside world enter.
 *
 * Owns    the types only. Implemented by node/platform.ts, sim/platform.ts and a browser's; those
 *         of a store's files by node/store-directory.ts, memory-directory.ts and
 *         sim/store-directory.ts.
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
  /** SHA-256 of the pieces, one after the other, where the host has a quick one. */
  readonly sha256?: (...pieces: readonly Uint8Array[]) => Uint8Array;
}

/** A file of a store. */
export interface StoreFile {
  /** Its size now. */
  readonly bytes: number;
  /**
   * Fills `target` from `offset`, at once; returns how many bytes there were, fewer than asked only
   * at the end of the file. Throws "io".
   */
  read(offset: number, target: Uint8Array): number;
  /** `bytes` must stay as they are until it resolves. Rejects with "io". */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** As `write` of all pieces, one behind the other. */
  writev(offset: number, pieces: readonly Uint8Array[]): Promise<void>;
  /** What was written is durable when it resolves; whether the file has its name is not said. */
  sync(): Promise<void>;
  close(): void;
}

/** A lock that is held. */
export interface StoreLock {
  release(): Promise<void>;
}

/**
 * The files of a store: folders of one level, with files in them. Paths are "FILE" or
 * "FOLDER/FILE". What is made, renamed or removed is durable once its folder was synced.
 */
export interface StoreDirectory {
  /** For messages. */
  readonly name: string;
  /** Nobody else has it until it is released or the process is gone. Rejects with "busy", "io". */
  lock(): Promise<StoreLock>;
  /** Makes a folder unless it is there; durable as any name is. */
  prepare(folder: string): Promise<void>;
  /** Names of the files of a folder ("" for the store's own), in no order. Throws "io". */
  list(folder: string): string[];
  /** A file to read. Throws "not-found", "io". */
  open(path: string): StoreFile;
  /** A file to write and read, empty, in place of any that was there. */
  create(path: string): Promise<StoreFile>;
  /** Takes the place of a file that has the new name. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; there need be none. */
  remove(path: string): Promise<void>;
  /** Makes the names of a folder's files durable ("" for the store's own). */
  sync(folder: string): Promise<void>;
}
