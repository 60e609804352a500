/**
 * memory-directory: a store's files in memory: for pages, tests and stores that end with the
 * process.
 *
 * Owns    the files' bytes.
 * Used by programs, browser/store-database.ts; what it holds is as durable as the process.
 */
import { VmError } from "../errors.ts";
import type { StoreDirectory, StoreFile, StoreLock } from "./contract.ts";

/** Bytes that grow. */
export class MemoryContent {
  #room = new Uint8Array(0);
  bytes = 0;

  read(offset: number, target: Uint8Array): number {
    const count = Math.max(0, Math.min(target.length, this.bytes - offset));
    target.set(this.#room.subarray(offset, offset + count));
    return count;
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > this.#room.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#room.length));
      larger.set(this.#room);
      this.#room = larger;
    }
    this.#room.set(bytes, offset);
    this.bytes = Math.max(this.bytes, end);
  }
}

class MemoryFile implements StoreFile {
  readonly #content: MemoryContent;

  constructor(content: MemoryContent) {
    this.#content = content;
  }

  get bytes(): number {
    return this.#content.bytes;
  }

  read(offset: number, target: Uint8Array): number {
    return this.#content.read(offset, target);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.#content.write(offset, bytes);
  }

  async writev(offset: number, pieces: readonly Uint8Array[]): Promise<void> {
    let at = offset;
    for (const piece of pieces) {
      this.#content.write(at, piece);
      at += piece.length;
    }
  }

  async sync(): Promise<void> {}

  close(): void {}
}

/** Bytes in memory that are written one after the other, and read: to export to, import from. */
export class MemoryBytes {
  readonly #content = new MemoryContent();

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#content.write(0, bytes);
  }

  get bytes(): number {
    return this.#content.bytes;
  }

  write(bytes: Uint8Array): void {
    this.#content.write(this.#content.bytes, bytes);
  }

  /** Throws "io" when they are not there. */
  read(offset: number, target: Uint8Array): void {
    if (this.#content.read(offset, target) === target.length) return;
    throw new VmError("io", `there are no ${target.length} bytes at ${offset}`);
  }
}

/** A directory in memory. */
export class MemoryDirectory implements StoreDirectory {
  readonly name: string;
  readonly #files = new Map<string, MemoryContent>();
  #isLocked = false;

  constructor(name = "memory") {
    this.name = name;
  }

  async lock(): Promise<StoreLock> {
    if (this.#isLocked) throw new VmError("busy", `${this.name} is open already; close it first`);
    this.#isLocked = true;
    return {
      release: async () => {
        this.#isLocked = false;
      },
    };
  }

  async prepare(): Promise<void> {}

  list(folder: string): string[] {
    const begin = folder === "" ? "" : `${folder}/`;
    const inside = [...this.#files.keys()].filter((path) => path.startsWith(begin));
    return inside.map((path) => path.slice(begin.length)).filter((name) => !name.includes("/"));
  }

  open(path: string): StoreFile {
    const content = this.#files.get(path);
    if (content === undefined) throw new VmError("not-found", `${this.name}/${path} is not there`);
    return new MemoryFile(content);
  }

  async create(path: string): Promise<StoreFile> {
    const content = new MemoryContent();
    this.#files.set(path, content);
    return new MemoryFile(content);
  }

  async rename(from: string, to: string): Promise<void> {
    const content = this.#files.get(from);
    if (content === undefined) throw new VmError("io", `${this.name}/${from} is not there`);
    this.#files.delete(from);
    this.#files.set(to, content);
  }

  async remove(path: string): Promise<void> {
    this.#files.delete(path);
  }

  async sync(): Promise<void> {}
}
