/**
 * memory-store: a store of snapshots in memory, as plain as can be, whose pages can be made to fail
 * or to come late: for tests of the manager.
 *
 * Used by the suites of test/snapshot/.
 */
import { type DeviceSection, VmError } from "../../src/node.ts";
import type {
  ByteSink,
  ByteSource,
  SnapshotMeta,
  SnapshotStorePort,
  StoredSnapshot,
  StoreReader,
  StoreWriter,
} from "../../src/snapshot/store-port.ts";

/** Of the hash, which nobody asks for here. */
const KEY = new Uint8Array(4192);

/** Pages by region and number; null for zeros. */
type Pages = Map<string, Uint8Array | null>;

interface Held {
  stored: StoredSnapshot;
  readonly sections: DeviceSection[];
  readonly pages: Pages;
}

/** A store in memory. */
export class MemoryStore implements SnapshotStorePort {
  /** Pages that may be written before one fails with "io". */
  writesLeft = Number.POSITIVE_INFINITY;
  /** Snapshot and region that cannot be read: "ID:0". */
  readonly unreadable = new Set<string>();
  /** A read takes a turn of the event loop. */
  isSlow = false;
  /** Pages in the order in which they were read. */
  readonly asked: number[] = [];
  readonly workingSets = new Map<string, Uint32Array>();
  readonly #held = new Map<string, Held>();

  list(): StoredSnapshot[] {
    return [...this.#held.values()].map(({ stored }) => stored);
  }

  damaged(): [] {
    return [];
  }

  #need(id: string): Held {
    const held = this.#held.get(id);
    if (held === undefined) throw new VmError("not-found", `snapshot ${id}`);
    return held;
  }

  get(id: string): StoredSnapshot {
    return this.#need(id).stored;
  }

  async begin(meta: SnapshotMeta): Promise<StoreWriter> {
    const below = meta.parent === null ? 0 : this.#need(meta.parent).stored.level;
    const pages: Pages = new Map();
    const sections: DeviceSection[] = [];
    return {
      page: (region, page, bytes) => {
        if (this.writesLeft-- <= 0) throw new VmError("io", "the disk is full");
        pages.set(`${region}:${page}`, bytes.slice());
      },
      frozen: (region, numbers, source) => {
        const { addresses } = source.survey(numbers, KEY);
        for (const [at, address] of addresses.entries()) {
          if (address !== 0 && this.writesLeft-- <= 0) throw new VmError("io", "the disk is full");
          const bytes = address === 0 ? null : source.memory.slice(address, address + 4096);
          pages.set(`${region}:${numbers[at]}`, bytes);
        }
        return addresses.length;
      },
      zero: (region, page) => void pages.set(`${region}:${page}`, null),
      section: (section) => void sections.push(section),
      commit: async () => {
        const bytes = { logical: pages.size * 4096, unique: 0, onDisk: 0 };
        const stored = { ...meta, level: below + 1, pages: pages.size, bytes };
        this.#held.set(meta.id, { stored, sections, pages });
      },
      abort: async () => {},
    };
  }

  /** All pages of a chain. */
  #all(id: string): Pages {
    const { stored, pages } = this.#need(id);
    const all: Pages = stored.parent === null ? new Map() : this.#all(stored.parent);
    for (const [key, bytes] of pages) all.set(key, bytes);
    return all;
  }

  async reader(id: string): Promise<StoreReader> {
    const all = this.#all(id);
    const keysOf = (region: number) =>
      [...all].filter(([key, bytes]) => bytes !== null && key.startsWith(`${region}:`));
    return {
      id,
      sections: this.#need(id).sections,
      workingSet: this.workingSets.get(id) ?? new Uint32Array(0),
      pages: (region) => Uint32Array.from(keysOf(region), ([key]) => pageOf(key)).sort(),
      read: (region, page, target) => {
        if (this.unreadable.has(`${id}:${region}`)) throw new VmError("bad-file", "a wrong hash");
        this.asked.push(page);
        const bytes = all.get(`${region}:${page}`) ?? null;
        if (bytes !== null) target.set(bytes);
        if (!this.isSlow) return bytes !== null;
        return new Promise((resolve) => setImmediate(() => resolve(bytes !== null)));
      },
      close: () => {},
    };
  }

  async diff(from: string, to: string) {
    const [before, after] = [this.#all(from), this.#all(to)];
    const found: number[][] = [[]];
    for (const key of new Set([...before.keys(), ...after.keys()])) {
      const [a, b] = [before.get(key) ?? null, after.get(key) ?? null];
      if (a === b || (a !== null && b !== null && Buffer.compare(a, b) === 0)) continue;
      const region = Number.parseInt(key, 10);
      found[region] ??= [];
      found[region].push(pageOf(key));
    }
    const regions = Array.from(found, (pages) => Uint32Array.from(pages ?? []).sort());
    return { regions, sections: [] };
  }

  async rename(id: string, name: string): Promise<void> {
    const held = this.#need(id);
    held.stored = { ...held.stored, name };
  }

  async label(id: string, change: Pick<StoredSnapshot, "labels" | "notes">): Promise<void> {
    const held = this.#need(id);
    held.stored = { ...held.stored, ...change };
  }

  async remove(id: string): Promise<void> {
    this.#need(id);
    if (this.list().some(({ parent }) => parent === id)) throw new VmError("busy", id);
    this.#held.delete(id);
  }

  /** Chains got shorter: levels follow. */
  #relevel(): void {
    const levelOf = (id: string | null): number =>
      id === null ? 0 : levelOf(this.#need(id).stored.parent) + 1;
    for (const held of this.#held.values()) {
      held.stored = { ...held.stored, level: levelOf(held.stored.id), pages: held.pages.size };
    }
  }

  async mergeParent(id: string): Promise<void> {
    const upper = this.#need(id);
    const lower = this.#need(upper.stored.parent as string);
    for (const [key, bytes] of lower.pages) {
      if (!upper.pages.has(key)) upper.pages.set(key, bytes);
    }
    const { type, parent } = lower.stored;
    upper.stored = { ...upper.stored, parent, type: parent === null ? "full" : type };
    this.#held.delete(lower.stored.id);
    this.#relevel();
  }

  async flatten(id: string): Promise<void> {
    const held = this.#need(id);
    for (const [key, bytes] of this.#all(id)) held.pages.set(key, bytes);
    held.stored = { ...held.stored, parent: null, type: "full" };
    this.#relevel();
  }

  async compact() {
    return { bytesBefore: 2, bytesAfter: 1 };
  }

  async verify(id: string) {
    const problems = this.unreadable.has(`${id}:0`) ? ["page 3 does not have its hash"] : [];
    return { pages: this.#all(id).size, problems };
  }

  async exportTo(id: string, sink: ByteSink): Promise<number> {
    const { stored, sections } = this.#need(id);
    const text = JSON.stringify({ stored, sections: sections.length });
    await sink.write(new TextEncoder().encode(text));
    return text.length;
  }

  async importFrom(source: ByteSource, { name }: { name?: string } = {}): Promise<string> {
    const bytes = new Uint8Array(source.bytes);
    await source.read(0, bytes);
    const { stored } = JSON.parse(new TextDecoder().decode(bytes)) as Held;
    const id = `${stored.id}x`;
    const imported = { ...stored, id, parent: null, name: name ?? stored.name };
    this.#held.set(id, { stored: imported, sections: [], pages: new Map() });
    return id;
  }

  async close(): Promise<void> {}

  async saveWorkingSet(id: string, pages: Uint32Array): Promise<void> {
    this.workingSets.set(id, pages);
  }
}

function pageOf(key: string): number {
  return Number(key.slice(key.indexOf(":") + 1));
}
