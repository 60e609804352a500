/**
 * store-directory: a store's files on a simulated disk that loses what was not synced.
 *
 * Owns    two images: what the process sees, and what would be there after a crash.
 * Used by tests of what is durable when.
 * Holds   a crash keeps any part of what was written since a file's last sync, by sectors of 512
 *         bytes, and any part of what was done to the names of a folder since that was synced. It
 *         happens before the nth operation that changes something, and all later ones fail. A sync
 *         takes its time: who does not wait for it is ahead of it.
 */
import { VmError } from "../../errors.ts";
import type { StoreDirectory, StoreFile, StoreLock } from "../contract.ts";
import { joined } from "./joined.ts";

const SECTOR_BYTES = 512;
/** Turns of the microtask queue that a sync takes, and bytes for each more of them. */
const SYNC_TURNS = 100;
const SYNC_BYTES = 64;

async function takeTime(bytes: number): Promise<void> {
  for (let turn = -SYNC_TURNS; turn < bytes / SYNC_BYTES; turn++) await undefined;
}

/** Where chance comes from: seeded. */
export interface Chance {
  /** True in `percent` of all cases. */
  chance(percent: number): boolean;
}

/** What a crashed process throws: not a VmError, so that nobody takes it for one. */
export class Crash extends Error {}

interface Write {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

function grown(bytes: Uint8Array, size: number): Uint8Array {
  if (size <= bytes.length) return bytes;
  const larger = new Uint8Array(size);
  larger.set(bytes);
  return larger;
}

function put(bytes: Uint8Array, { offset, bytes: added }: Write): Uint8Array {
  const made = grown(bytes, offset + added.length);
  made.set(added, offset);
  return made;
}

/** A file whatever its name: what is durable of it, and what was written since. */
class Inode {
  durable: Uint8Array;
  now: Uint8Array;
  /** Null: the file was emptied. */
  writes: (Write | null)[] = [];

  constructor(bytes: Uint8Array) {
    this.durable = bytes;
    this.now = bytes.slice();
  }

  write(offset: number, bytes: Uint8Array): void {
    const write = { offset, bytes: bytes.slice() };
    this.writes.push(write);
    this.now = put(this.now, write);
  }

  empty(): void {
    this.writes.push(null);
    this.now = new Uint8Array(0);
  }

  sync(): void {
    this.durable = this.now.slice();
    this.writes = [];
  }

  /** What is there after a crash. */
  crashed(chance: Chance): Uint8Array {
    let bytes: Uint8Array = this.durable.slice();
    for (const write of this.writes) {
      if (write === null) {
        if (chance.chance(50)) bytes = new Uint8Array(0);
        continue;
      }
      const { offset, bytes: all } = write;
      for (let at = 0; at < all.length; ) {
        const end = Math.min(all.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES));
        if (chance.chance(50)) {
          bytes = put(bytes, { offset: offset + at, bytes: all.subarray(at, end) });
        }
        at = end;
      }
    }
    return bytes;
  }
}

type NameChange =
  | { readonly kind: "link"; readonly path: string; readonly inode: Inode }
  | { readonly kind: "rename"; readonly path: string; readonly to: string }
  | { readonly kind: "remove"; readonly path: string };

function applyTo(names: Map<string, Inode>, change: NameChange): void {
  if (change.kind === "link") names.set(change.path, change.inode);
  else if (change.kind === "remove") names.delete(change.path);
  else {
    const inode = names.get(change.path);
    if (inode === undefined) return; // what made the name was lost
    names.delete(change.path);
    names.set(change.to, inode);
  }
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/** What a simulated directory may be told. */
export interface SimDirectoryOptions {
  /** Files that are there, durably. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
  /** The operation, from 1, before which the process ends. */
  readonly crashAt?: number;
  /** The operation, from 1, that fails, alone. */
  readonly failAt?: number;
}

/** A directory that forgets. */
export class SimDirectory implements StoreDirectory {
  readonly name = "sim";
  /** What was done, in order: "write segments/..." and so on. */
  readonly operations: string[] = [];
  /** Reads of files, so far. */
  reads = 0;
  readonly #options: SimDirectoryOptions;
  readonly #durable = new Map<string, Inode>();
  readonly #names = new Map<string, Inode>();
  /** Since the last sync of each folder. */
  #changes: NameChange[] = [];
  #isLocked = false;
  #hasCrashed = false;

  constructor(options: SimDirectoryOptions = {}) {
    this.#options = options;
    for (const [path, bytes] of options.files ?? []) {
      const inode = new Inode(bytes.slice());
      this.#durable.set(path, inode);
      this.#names.set(path, inode);
    }
  }

  /** How often something was changed, or tried to be. */
  get count(): number {
    return this.operations.length;
  }

  /** The files as the process sees them. */
  get files(): Map<string, Uint8Array> {
    return new Map([...this.#names].map(([path, { now }]) => [path, now.slice()]));
  }

  /** Changes bytes on the disk, behind everybody's back. */
  damage(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
    const inode = this.#names.get(path) as Inode;
    inode.now = change(inode.now.slice());
    inode.sync();
  }

  #step(what: string): void {
    this.#checkAlive();
    this.operations.push(what);
    if (this.count === this.#options.crashAt) {
      this.#hasCrashed = true;
      throw new Crash(`crash before operation ${this.count}: ${what}`);
    }
    if (this.count === this.#options.failAt) throw new VmError("io", `${what}: no space is left`);
  }

  #checkAlive(): void {
    if (this.#hasCrashed) throw new Crash("the process has crashed");
  }

  /** What the next process finds: nothing of this one is used any more. */
  crash(chance: Chance): Map<string, Uint8Array> {
    const names = new Map(this.#durable);
    for (const change of this.#changes) if (chance.chance(50)) applyTo(names, change);
    const bytes = new Map<Inode, Uint8Array>();
    for (const inode of names.values()) bytes.set(inode, inode.crashed(chance));
    return new Map([...names].map(([path, inode]) => [path, bytes.get(inode) as Uint8Array]));
  }

  async lock(): Promise<StoreLock> {
    if (this.#isLocked) throw new VmError("busy", `${this.name} is open already`);
    this.#isLocked = true;
    return {
      release: async () => {
        this.#isLocked = false;
      },
    };
  }

  async prepare(): Promise<void> {}

  list(folder: string): string[] {
    this.#checkAlive();
    const inside = [...this.#names.keys()].filter((path) => folderOf(path) === folder);
    return inside.map((path) => path.slice(path.lastIndexOf("/") + 1));
  }

  #file(path: string, inode: Inode): StoreFile {
    return {
      get bytes() {
        return inode.now.length;
      },
      read: (offset, target) => {
        this.#checkAlive();
        this.reads++;
        const found = inode.now.subarray(offset, offset + target.length);
        target.set(found);
        return found.length;
      },
      write: async (offset, bytes) => {
        this.#step(`write ${path}`);
        inode.write(offset, bytes);
      },
      writev: async (offset, pieces) => {
        this.#step(`write ${path}`);
        inode.write(offset, joined(pieces));
      },
      sync: async () => {
        await takeTime(inode.now.length);
        this.#step(`sync ${path}`);
        inode.sync();
      },
      close: () => {},
    };
  }

  open(path: string): StoreFile {
    this.#checkAlive();
    const inode = this.#names.get(path);
    if (inode === undefined) throw new VmError("not-found", `${path} is not there`);
    return this.#file(path, inode);
  }

  #change(change: NameChange): void {
    this.#changes.push(change);
    applyTo(this.#names, change);
  }

  async create(path: string): Promise<StoreFile> {
    this.#step(`create ${path}`);
    const there = this.#names.get(path);
    const inode = there ?? new Inode(new Uint8Array(0));
    // one that is there is emptied: its name stays the same file's
    if (there === undefined) this.#change({ kind: "link", path, inode });
    else inode.empty();
    return this.#file(path, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step(`rename ${from} ${to}`);
    if (!this.#names.has(from)) throw new VmError("io", `${from} is not there`);
    this.#change({ kind: "rename", path: from, to });
  }

  async remove(path: string): Promise<void> {
    this.#step(`remove ${path}`);
    if (this.#names.has(path)) this.#change({ kind: "remove", path });
  }

  async sync(folder: string): Promise<void> {
    await takeTime(0);
    this.#step(`sync folder ${folder}`);
    const left: NameChange[] = [];
    for (const change of this.#changes) {
      if (folderOf(change.path) === folder) applyTo(this.#durable, change);
      else left.push(change);
    }
    this.#changes = left;
  }
}
