/**
 * world: what a command may touch: files, streams, the terminal, guests. The binary hands in
 * Node's; tests their own.
 *
 * Owns    the types only.
 * Holds   no command reaches for anything else, so each can be run in a test.
 */
import type { BlockBackend, Host, HostOptions } from "../index.ts";
import type { SplitArguments } from "./call.ts";

/** A guest by name: what its machine boots. */
export interface GuestFiles {
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly append?: string;
}

/** A prepared guest, as `rivulet guest list` shows it. */
export interface GuestInfo {
  readonly name: string;
  readonly release: string;
  readonly packages: readonly { readonly name: string; readonly version: string }[];
  readonly folder: string;
  readonly bytes: number;
}

/** How a guest is prepared. */
export interface GuestPreparation {
  /** Archive to fetch from instead of the machine's own. */
  readonly mirror?: string;
  /** Prepare again though it is there. */
  readonly isReplacing?: boolean;
  onProgress(progress: { readonly step: string; readonly percent?: number }): void;
}

/** The guests of this user. */
export interface GuestShelf {
  /** The guest that is always there. */
  readonly builtin: string;
  /** Names that `prepare` takes. */
  readonly preparable: readonly string[];
  list(): readonly GuestInfo[];
  prepare(name: string, options: GuestPreparation): Promise<GuestInfo>;
  /** Throws VmError "not-found". */
  remove(name: string): void;
  /** What to boot, or null when it is not there. */
  files(name: string): Promise<GuestFiles | null>;
}

/** How a disk is opened. */
export type DiskMode = "rw" | "ro" | "cow";

/** Where console input comes from and goes to. */
export interface ConsoleStreams {
  /** True when input is a terminal: raw mode, Ctrl-A commands, host clock. */
  readonly isTerminal: boolean;
  /**
   * Calls back with every piece of input, then once with null at its end. The returned function
   * ends that.
   */
  listen(onInput: (bytes: Uint8Array | null) => void): () => void;
  /** Stops reading input, or goes on. */
  holdInput(isHeld: boolean): void;
  /** Writes console output. False when it piles up: `drained` settles when there is room again. */
  write(bytes: Uint8Array): boolean;
  drained(): Promise<void>;
  /** Calls back once when output can go nowhere any more (a closed pipe). */
  onBroken(listener: () => void): void;
  /** Settles when everything written has left. */
  flush(): Promise<void>;
}

/** Everything outside. */
export interface World {
  readonly version: string;
  readonly split: SplitArguments;
  readonly streams: ConsoleStreams;
  /** True when progress may overwrite its own line: stderr is a terminal. */
  readonly isProgressLive: boolean;
  /** Text for people, on stderr. */
  say(text: string): void;
  /** Text that is a command's result, on stdout. */
  print(text: string): void;
  /** Throws VmError "bad-file" naming the path and what is wrong. */
  readFile(path: string): Promise<Uint8Array>;
  openDisk(path: string, mode: DiskMode): Promise<BlockBackend>;
  readonly guests: GuestShelf;
  createHost(options?: Partial<HostOptions>): Promise<Host>;
  /** Calls back on SIGINT, SIGTERM and SIGHUP with the exit status that says so. */
  onSignal(listener: (status: number) => void): () => void;
  /** Folder that relative paths start from. */
  readonly folder: string;
  /** Makes a path absolute, seen from `folder`. */
  resolvePath(folder: string, path: string): string;
  monotonicMs(): number;
  /** Milliseconds since 1970. */
  wallMs(): number;
  after(ms: number, wake: () => void): () => void;
}
