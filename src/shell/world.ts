/**
 * world: what a command may touch: files, streams, the terminal, guests. The binary hands in
 * Node's; tests their own.
 *
 * Owns    the types only.
 * Holds   no command reaches for anything else, so each can be run in a test.
 */
import type {
  BlockBackend,
  ByteSink,
  ByteSource,
  GdbPeer,
  Host,
  HostOptions,
  LinkDoor,
  SnapshotStorePort,
  StoreDirectory,
} from "../index.ts";
import type { SplitArguments } from "./call.ts";
import type { AbortSignalLike } from "./command.ts";

/** A guest by name: what its machine boots. */
export interface GuestFiles {
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly append?: string;
  /** Path of a disk that it boots with; it is not written. */
  readonly disk?: string;
}

/** A prepared guest, as `rivulet guest list` shows it. */
export interface GuestInfo {
  readonly name: string;
  readonly release: string;
  readonly packages: readonly { readonly name: string; readonly version: string }[];
  readonly folder: string;
  readonly bytes: number;
}

/** A file of a prepared guest. */
export interface GuestFileInfo {
  readonly role: "kernel" | "initrd" | "disk" | "other";
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** All about a prepared guest, as `rivulet guest info` shows it. */
export interface GuestDetails extends GuestInfo {
  readonly append: string;
  readonly files: readonly GuestFileInfo[];
}

/** What `rivulet guest import` brings along. */
export interface GuestImport {
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly append: string;
  /** Absolute path of a raw disk. */
  readonly disk?: string;
  readonly isReplacing: boolean;
  readonly signal: AbortSignalLike;
  onPercent(percent: number): void;
}

/** How a guest is prepared. */
export interface GuestPreparation {
  /** Archive to fetch from instead of the machine's own. */
  readonly mirror?: string;
  /** Prepare again though it is there. */
  readonly isReplacing?: boolean;
  readonly signal: AbortSignalLike;
  onProgress(progress: { readonly step: string; readonly percent?: number }): void;
}

/** The guests of this user. */
export interface GuestShelf {
  /** The guest that is always there. */
  readonly builtin: string;
  /** Names that `prepare` takes. */
  readonly preparable: readonly string[];
  list(): readonly GuestInfo[];
  /** Null when it is not there. */
  details(name: string): GuestDetails | null;
  /** Puts files in. Throws VmError "bad-argument", "bad-file" or "io"; then nothing changed. */
  import(name: string, parts: GuestImport): Promise<GuestInfo>;
  prepare(name: string, options: GuestPreparation): Promise<GuestInfo>;
  /** Throws VmError "not-found". */
  remove(name: string): void;
  /** What to boot, or null when it is not there. */
  files(name: string): Promise<GuestFiles | null>;
}

/** How a disk is opened. */
export type DiskMode = "rw" | "ro" | "cow";

/** A file that is a disk, or could be one. */
export interface DiskFile {
  /** The same for two paths exactly when they lead to one file. */
  readonly id: string;
  readonly bytes: number;
  /** Room that it takes; less than `bytes` where the file has holes. */
  readonly allocatedBytes: number;
}

/** Files that are disks, by absolute path. */
export interface DiskShelf {
  /** Throws VmError "bad-file" unless it is a file. */
  facts(path: string): Promise<DiskFile>;
  /** Makes a disk of zeros. Throws VmError "bad-file" or "io"; then nothing changed. */
  create(
    path: string,
    bytes: number,
    options: {
      readonly isPreallocated: boolean;
      readonly isReplacing: boolean;
      readonly signal: AbortSignalLike;
      onPercent(percent: number): void;
    },
  ): Promise<void>;
  /** Throws VmError "bad-file" or "io". */
  resize(path: string, bytes: number): Promise<void>;
  /** Throws VmError "io". */
  remove(path: string): Promise<void>;
}

/** How links to other hosts are made. */
export interface LinkChoices {
  /** PEM text, for tls:// addresses. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Plain bytes may leave this host. */
  readonly isPlainAllowed?: boolean;
}

/** What this runs on. */
export interface Environment {
  /** JavaScript engine, for instance "Node 20.11.1, V8 11.3". */
  readonly engine: string;
  /** Operating system and architecture, for instance "linux x64". */
  readonly platform: string;
  readonly cores: number;
  readonly memoryBytes: number;
}

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

/** The other end of a control connection: bytes in, bytes out. */
export interface Peer {
  /** Bytes written that have not left this process. */
  readonly pendingBytes: number;
  /** False when they pile up: `drained` settles when there is room again, or nobody reads. */
  write(bytes: Uint8Array): boolean;
  drained(): Promise<void>;
  onBytes(listener: (bytes: Uint8Array) => void): void;
  /** Calls back once when the connection is over, whoever ended it. */
  onClose(listener: () => void): void;
  /** Stops reading, or goes on. */
  hold(isHeld: boolean): void;
  /** Ends the connection behind what was written. */
  close(): void;
}

/** Where to listen. */
export interface TcpPlace {
  readonly host: string;
  /** 0 takes any that is free. */
  readonly port: number;
  /** An address that other hosts can reach is meant. */
  readonly isOpen: boolean;
}

/** A TCP port that listens. */
export interface TcpDoor {
  readonly port: number;
  close(): Promise<void>;
}

/** A control socket that listens. */
export interface ControlDoor {
  /** As given. */
  readonly path: string;
  /** Closes it and every connection, and removes the socket. */
  close(): Promise<void>;
}

/** How a prompt is opened. */
export interface PromptOptions {
  /** Newest last. */
  readonly history: readonly string[];
  /** What could stand where the line ends, and the piece of the line that it would replace. */
  complete(line: string): Promise<readonly [readonly string[], string]>;
}

/** Lines typed by a person; between them, keys. */
export interface Prompt {
  /** The next line; null when there will be none (Ctrl-D). Ctrl-C drops what was typed. */
  read(prompt: string): Promise<string | null>;
  /** Calls back on Ctrl-C while no line is being read and nobody listens. */
  onInterrupt(listener: () => void): void;
  /** Takes every byte typed until the returned function is called. */
  listen(onInput: (bytes: Uint8Array | null) => void): () => void;
  close(): void;
}

/** A file that is written piece by piece. */
export interface FileWriter {
  write(bytes: Uint8Array): void;
  /** Throws VmError "io" when something written did not get there. */
  close(): Promise<void>;
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
  /** Replaces the file as a whole, or leaves it as it was. Throws VmError "io". */
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  /** Makes the file anew. Throws VmError "io". */
  openWriter(path: string): Promise<FileWriter>;
  /** A file to be read anywhere. Throws VmError "not-found" or "io". */
  openSource(path: string): Promise<ByteSource & { close(): Promise<void> }>;
  /** A file written in order: at its end it is there as a whole, or not at all. */
  openSink(path: string): Promise<ByteSink & { close(isWhole: boolean): Promise<void> }>;
  /** Names in a folder, those of folders with a slash; nothing when it cannot be read. */
  listFolder(path: string): Promise<readonly string[]>;
  /** Takes connections on a unix socket of mode 0600. Throws VmError "busy" or "io". */
  listenControl(path: string, onPeer: (peer: Peer) => void): Promise<ControlDoor>;
  /** Throws VmError "not-found" or "io". */
  connectControl(path: string): Promise<Peer>;
  /** Takes connections on a TCP port. Throws VmError "bad-argument", "busy" or "io". */
  listenTcp(place: TcpPlace, onPeer: (peer: GdbPeer) => void): Promise<TcpDoor>;
  /** A prompt on this process's terminal. */
  openPrompt(options: PromptOptions): Prompt;
  /** The prompt's lines of earlier sessions, newest last; nothing where none can be kept. */
  loadHistory(): readonly string[];
  /** Keeps a line for later sessions. */
  saveHistory(line: string): void;
  openDisk(path: string, mode: DiskMode): Promise<BlockBackend>;
  /**
   * A store of snapshots in a folder; unless `create` is false, that is made when it is not there.
   * Throws "busy", "io", "bad-file", "not-found".
   */
  openStore(path: string, options?: { readonly create?: boolean }): Promise<SnapshotStorePort>;
  /** Links to other hosts. Throws VmError "bad-argument" for certificates that are none. */
  openLinks(choices: LinkChoices): LinkDoor;
  /** A folder in which migrations keep what is decided. Throws "busy", "io". */
  openState(path: string): Promise<StoreDirectory>;
  readonly disks: DiskShelf;
  readonly guests: GuestShelf;
  readonly environment: Environment;
  createHost(options?: Partial<HostOptions>): Promise<Host>;
  /** Calls back on SIGINT, SIGTERM and SIGHUP with the exit status that says so. */
  onSignal(listener: (status: number) => void): () => void;
  /** Folder that relative paths start from. */
  readonly folder: string;
  /** Makes a path absolute, seen from `folder`. */
  resolvePath(folder: string, path: string): string;
  monotonicMs(): number;
  /** Serves what is ready (a signal, a pipe that closed), then goes on. */
  breathe(): Promise<void>;
  /** Milliseconds since 1970. */
  wallMs(): number;
  after(ms: number, wake: () => void): () => void;
}
