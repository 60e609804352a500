/**
 * store-database: a store's files in a database of the browser (IndexedDB), for the decisions of
 * migrations.
 *
 * Owns    the database; while it is locked, the lock of its name (Web Locks).
 * Used by src/browser.ts.
 * Holds   the files are in memory, too, and read from there. A sync writes whole files, all that
 *         were changed and their names, in one transaction of durability "strict": right for a
 *         few small files.
 */
import { VmError } from "../../errors.ts";
import type { StoreDirectory, StoreFile, StoreLock } from "../contract.ts";
import { MemoryContent } from "../memory-directory.ts";

const FILES = "files";

/** What a request of the database comes to. Rejects with its error. */
function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}

function openDatabase(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore(FILES));
  return done(request);
}

/** The bytes of a file, and under which name they are kept; null when under none. */
class Content extends MemoryContent {
  path: string | null;

  constructor(path: string, bytes = new Uint8Array(0)) {
    super();
    this.path = path;
    this.write(0, bytes);
  }

  get whole(): Uint8Array {
    const bytes = new Uint8Array(this.bytes);
    this.read(0, bytes);
    return bytes;
  }
}

class DatabaseDirectory implements StoreDirectory {
  readonly name: string;
  readonly #database: IDBDatabase;
  #files = new Map<string, Content>();
  /** Paths whose files are other ones in the database. */
  #changed = new Set<string>();
  #last: Promise<void> = Promise.resolve();

  constructor(name: string, database: IDBDatabase) {
    this.name = name;
    this.#database = database;
  }

  #failure(cause: unknown): VmError {
    return new VmError("io", `${this.name}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }

  /** Reads all files. Rejects with "io". */
  async load(): Promise<void> {
    try {
      const store = this.#database.transaction(FILES).objectStore(FILES);
      const [paths, files] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
      const found = paths.map(
        (path, at) => [`${path}`, new Content(`${path}`, files[at])] as const,
      );
      this.#files = new Map(found);
      this.#changed.clear();
    } catch (cause) {
      throw this.#failure(cause);
    }
  }

  async lock(): Promise<StoreLock> {
    const { locks } = navigator;
    if (locks === undefined) {
      const accepted = "accepted are pages that came over https: or from this host";
      throw new VmError("unsupported", `${this.name}: the browser lends no locks; ${accepted}`);
    }
    const lock = await new Promise<StoreLock>((resolve, reject) => {
      const asked = locks.request(`rivulet:${this.name}`, { ifAvailable: true }, (held) => {
        if (held === null) {
          const text = `${this.name}: another page or worker has it open; close it first`;
          reject(new VmError("busy", text));
          return;
        }
        return new Promise<void>((end) => {
          resolve({
            release: async () => {
              end();
              await asked;
            },
          });
        });
      });
      asked.catch((cause) => reject(this.#failure(cause)));
    });
    try {
      await this.load(); // somebody else may have had it since it was opened
      return lock;
    } catch (error) {
      await lock.release();
      throw error;
    }
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
    return this.#file(content);
  }

  #file(content: Content): StoreFile {
    const writev = async (offset: number, pieces: readonly Uint8Array[]) => {
      let at = offset;
      for (const piece of pieces) {
        content.write(at, piece);
        at += piece.length;
      }
      if (content.path !== null) this.#changed.add(content.path);
    };
    return {
      get bytes() {
        return content.bytes;
      },
      read: (offset, target) => content.read(offset, target),
      write: (offset, bytes) => writev(offset, [bytes]),
      writev,
      sync: () => this.sync(),
      close: () => {},
    };
  }

  /** What has this name; null takes it from there. */
  #set(path: string, content: Content | null): void {
    const old = this.#files.get(path);
    if (old !== undefined) old.path = null;
    this.#files.delete(path);
    this.#changed.add(path);
    if (content === null) return;
    content.path = path;
    this.#files.set(path, content);
  }

  async create(path: string): Promise<StoreFile> {
    const content = new Content(path);
    this.#set(path, content);
    return this.#file(content);
  }

  async rename(from: string, to: string): Promise<void> {
    const content = this.#files.get(from);
    if (content === undefined) throw new VmError("io", `${this.name}/${from} is not there`);
    this.#set(from, null);
    this.#set(to, content);
  }

  async remove(path: string): Promise<void> {
    if (this.#files.has(path)) this.#set(path, null);
  }

  /** In turn: what the one before could not write is among what the next one writes. */
  sync(): Promise<void> {
    const mine = this.#last.catch(() => {}).then(() => this.#sync());
    this.#last = mine;
    return mine;
  }

  async #sync(): Promise<void> {
    const changed = this.#changed;
    this.#changed = new Set();
    try {
      await this.#write(changed);
    } catch (cause) {
      for (const path of changed) this.#changed.add(path);
      throw this.#failure(cause);
    }
  }

  #write(paths: ReadonlySet<string>): Promise<void> {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(FILES, "readwrite", { durability: "strict" });
      transaction.addEventListener("complete", () => resolve());
      transaction.addEventListener("abort", () => reject(transaction.error));
      const store = transaction.objectStore(FILES);
      for (const path of paths) {
        const content = this.#files.get(path);
        if (content === undefined) store.delete(path);
        else store.put(content.whole, path);
      }
      transaction.commit();
    });
  }
}

/**
 * A directory in the database `name` of this page's origin, as `state` of a MigrationManager: its
 * decisions outlive the page. For few and small files: all are held in memory. A browser may throw
 * a database away when room is short: `navigator.storage.persist()` asks it not to. Rejects with
 * "io".
 */
export async function openStoreDatabase(name: string): Promise<StoreDirectory> {
  let database: IDBDatabase;
  try {
    database = await openDatabase(name);
  } catch (cause) {
    throw new VmError("io", `${name}: the browser opens no database`, { cause });
  }
  database.addEventListener("versionchange", () => database.close()); // somebody deletes it
  const directory = new DatabaseDirectory(name, database);
  await directory.load();
  return directory;
}
