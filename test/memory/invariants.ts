/**
 * invariants: walks everything in the arena that is derived or counted, from outside, and says what
 * does not hold: reference counts, sharing, the free list, decode chunks, dirty logs, and every tag
 * in every TLB (DESIGN.md sections 2 and 3).
 *
 * Used by the suites of test/memory and test/mmu after what they do.
 * Holds   offsets come from the sources of the core themselves, so that none is stated twice.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  FRAME_BYTES,
  KIND_FRAME,
  KIND_ZERO,
  KINDS,
  LEAF_ENTRIES,
  LOG_SUMMARIES,
  LOG_WINDOW_SHIFT,
  LOG_WINDOW_WORDS,
  LOG_WINDOWS,
  LOGS_MAX,
  MACHINE_HARTS,
  MACHINE_LOG_FRAMES,
  MACHINE_LOGS,
  MACHINE_RAM_PAGES,
  MACHINE_ROOT,
  ROOT_SLOTS,
} from "../../assembly/layout.ts";
import type { Core } from "../../src/core/instance.ts";
import type { MachineView } from "../../src/core/machine-view.ts";
import type { RetainedRoot } from "../../src/core/root.ts";

const SOURCES = fileURLToPath(new URL("../../../assembly/", import.meta.url));

/**
 * Every `const NAME: type = number;` of the core's sources; products and sums of others included.
 */
function readConstants(): Record<string, number> {
  const texts = readdirSync(SOURCES, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => readFileSync(join(SOURCES, path), "utf8"));
  const found = texts.flatMap((text) => [
    ...text.matchAll(/^(?:export )?const (\w+)(?:: \w+)? = ([\w +*]+);/gm),
  ]);
  const constants: Record<string, number> = {};
  // those made of others need as many passes as they are deep
  for (let pass = 0; pass < 4; pass++) {
    for (const [, name, value] of found) {
      const factor = (text: string) => constants[text.trim()] ?? Number(text);
      const product = (text: string) => text.split("*").reduce((left, f) => left * factor(f), 1);
      const sum = value.split("+").reduce((left, term) => left + product(term), 0);
      if (!Number.isNaN(sum)) constants[name] = sum;
    }
  }
  return constants;
}

/** The core's constants by names that must exist. */
const K = new Proxy(readConstants(), {
  get(target, name: string) {
    if (target[name] === undefined) throw new Error(`assembly/ has no constant ${name}`);
    return target[name];
  },
});
const HARTS_SLOT = 8;
const REGIMES = 4;

/** What one root leads to. */
interface Owned {
  readonly pages: ReadonlySet<number>;
  /** Frames that nobody else leads to: those that may be written. */
  readonly own: ReadonlySet<number>;
}

/** Collects complaints about one arena. */
class Walker {
  readonly complaints: string[] = [];
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  say(text: string): void {
    if (this.complaints.length < 20) this.complaints.push(text);
  }

  u32(address: number): number {
    return this.#core.u32[address / 4];
  }

  u64(address: number): bigint {
    return this.#core.u64[address / 8];
  }

  arena(name: string): number {
    return this.u32(K.ARENA + K[name]);
  }

  entry(frame: number, field: string): number {
    return this.u32(this.arena("ARENA_FRAME_TABLE") + frame * K.FRAME_ENTRY_BYTES + K[field]);
  }

  frameAddress(frame: number): number {
    return this.arena("ARENA_POOL") + frame * FRAME_BYTES;
  }

  // ---- stage 2 ----

  /** Times that each frame is named: by root slots, by entries of distinct leaves, by logs. */
  readonly named = new Map<number, number>();
  readonly #leaves = new Set<number>();

  name(frame: number, role: string): void {
    if (frame === 0 || frame > this.arena("ARENA_FRAMES_TOTAL")) this.say(`frame ${frame} named`);
    this.named.set(frame, (this.named.get(frame) ?? 0) + 1);
    const found = this.entry(frame, "FRAME_ROLE");
    if (found !== K[role]) this.say(`frame ${frame} is no ${role} but ${found}`);
  }

  /** Names everything under a root. */
  root(root: number, ramPages: number): void {
    this.name(root, "ROLE_ROOT");
    for (let slot = 0; slot < ROOT_SLOTS; slot++) {
      const leaf = this.u32(this.frameAddress(root) + slot * 4);
      if (leaf === 0) continue;
      this.name(leaf, "ROLE_LEAF");
      if (this.#leaves.has(leaf)) continue;
      this.#leaves.add(leaf);
      for (let index = 0; index < LEAF_ENTRIES; index++) {
        const entry = this.u64(this.frameAddress(leaf) + index * 8);
        const [kind, frame] = [Number(entry & 15n), Number(entry >> 32n)];
        const page = slot * LEAF_ENTRIES + index;
        if (kind === KIND_FRAME) {
          this.name(frame, "ROLE_PAGE");
          if (page >= ramPages) this.say(`page ${page} is beyond RAM`);
        } else if (
          kind >= KINDS ||
          (kind === KIND_ZERO && entry !== 0n) ||
          (entry & 0xf0n) !== 0n
        ) {
          this.say(`page ${page}: entry ${entry}`);
        }
      }
    }
  }

  /** What is under a root, once everything is named. */
  owned(root: number): Owned {
    const pages = new Set<number>();
    const own = new Set<number>();
    for (let slot = 0; slot < ROOT_SLOTS; slot++) {
      const leaf = this.u32(this.frameAddress(root) + slot * 4);
      if (leaf === 0) continue;
      for (let index = 0; index < LEAF_ENTRIES; index++) {
        const entry = this.u64(this.frameAddress(leaf) + index * 8);
        if (Number(entry & 15n) !== KIND_FRAME) continue;
        const frame = Number(entry >> 32n);
        pages.add(frame);
        const isOwn = this.named.get(leaf) === 1 && this.named.get(frame) === 1;
        if (isOwn) own.add(frame);
      }
    }
    return { pages, own };
  }

  /** A machine's root and its logs; a summary bit covers every word with a mark. */
  machine(machine: MachineView): void {
    const before = [...this.named.values()].reduce((sum, times) => sum + times, 0);
    const seen = this.#leaves.size;
    const ramPages = machine.get32(MACHINE_RAM_PAGES);
    this.root(machine.get32(MACHINE_ROOT), ramPages);
    const open = machine.get32(MACHINE_LOGS);
    for (let log = 0; log < LOGS_MAX; log++) {
      const frame = machine.get32(MACHINE_LOG_FRAMES + log * 4);
      if (((open >> log) & 1) === 0) {
        if (frame !== 0) this.say(`log ${log} is closed and holds frame ${frame}`);
        continue;
      }
      this.name(frame, "ROLE_LOG");
      this.#log(this.frameAddress(frame), ramPages);
    }
    if (seen !== 0 || before !== 0) return;
    const count = [...this.named.values()].reduce((sum, times) => sum + times, 0);
    if (machine.frames !== count) {
      this.say(`the machine counts ${machine.frames} frames and names ${count}`);
    }
  }

  #log(header: number, ramPages: number): void {
    for (let window = 0; window < Math.ceil(ramPages / 2 ** LOG_WINDOW_SHIFT); window++) {
      const bits = this.u32(header + LOG_WINDOWS + window * 4);
      this.name(bits, "ROLE_LOG");
      const summary = this.u64(header + LOG_SUMMARIES + window * 8);
      for (let word = 0; word < LOG_WINDOW_WORDS; word++) {
        if (this.u64(this.frameAddress(bits) + word * 8) === 0n) continue;
        const isNoted = ((summary >> BigInt(word >> 6)) & 1n) !== 0n;
        if (!isNoted) this.say(`a mark in word ${word} that its summary denies`);
      }
    }
  }

  // ---- the pool ----

  pool(): void {
    const { named } = this;
    const total = this.arena("ARENA_FRAMES_TOTAL");
    const fresh = this.arena("ARENA_FRAME_FRESH");
    const free = new Set<number>();
    for (let at = this.arena("ARENA_FREE_HEAD"); at !== 0; at = this.entry(at, "FRAME_NEXT")) {
      if (free.has(at) || free.size > total) {
        this.say(`the free list comes back to frame ${at}`);
        break;
      }
      free.add(at);
    }
    const counted = this.arena("ARENA_FRAMES_FREE");
    const found = free.size + total + 1 - fresh;
    if (counted !== found) this.say(`${counted} frames counted free, ${found} are`);
    for (let frame = 1; frame < fresh; frame++) {
      const references = this.entry(frame, "FRAME_REFERENCES");
      const expected = named.get(frame) ?? 0;
      if (references !== expected) {
        this.say(`frame ${frame}: ${references} references, named ${expected} times`);
      }
      if (free.has(frame) !== (expected === 0)) this.say(`frame ${frame}: free and named, or lost`);
      if (expected === 0 && this.entry(frame, "FRAME_CHUNK") !== 0) {
        this.say(`free frame ${frame} has decoded code`);
      }
    }
    for (const frame of named.keys()) if (frame >= fresh) this.say(`fresh frame ${frame} is named`);
  }

  // ---- decoded code ----

  /** Live chunks: address to frame. */
  chunks(): Map<number, number> {
    const { named } = this;
    const live = new Map<number, number>();
    const base = this.arena("ARENA_CHUNKS");
    const next = this.arena("ARENA_CHUNK_NEXT");
    const free = new Set<number>();
    for (let at = this.arena("ARENA_CHUNK_FREE"); at !== 0; at = this.u32(at + K.CHUNK_RAW)) {
      if (free.has(at)) {
        this.say(`the list of free chunks comes back to ${at}`);
        break;
      }
      free.add(at);
    }
    for (let index = 0; index < next; index++) {
      const chunk = base + index * K.CHUNK_BYTES;
      const frame = this.u32(chunk + K.CHUNK_FRAME);
      if ((frame === 0) !== free.has(chunk)) this.say(`chunk ${index} is lost, or free and in use`);
      if (frame === 0) continue;
      live.set(chunk, frame);
      if (!named.has(frame)) this.say(`chunk ${index} decodes frame ${frame}, which is free`);
      if (this.entry(frame, "FRAME_CHUNK") !== chunk) this.say(`frame ${frame} denies its chunk`);
    }
    for (const frame of named.keys()) {
      const chunk = this.entry(frame, "FRAME_CHUNK");
      if (chunk !== 0 && live.get(chunk) !== frame) this.say(`frame ${frame} names a dead chunk`);
    }
    return live;
  }

  // ---- the TLBs ----

  tlbs(owner: Owned | null, harts: number, chunks: ReadonlyMap<number, number>): void {
    for (let hart = 0; hart < HARTS_SLOT; hart++) {
      const base = K.TLB_BASE + hart * (K.LOG_OFFSET + 4096);
      for (let array = 0; array < 2 * REGIMES; array++) {
        for (let slot = 0; slot < K.TLB_SLOTS; slot++) {
          const at = base + array * K.TLB_ARRAY + slot * 16;
          this.#data(owner, hart < harts, at, slot, array % 2 === 1);
        }
      }
      for (let slot = 0; slot < REGIMES * K.ITLB_SLOTS; slot++) {
        const at = base + K.ITLB_OFFSET + slot * 16;
        if (this.u64(at) === 1n) continue;
        const frame = chunks.get(this.u32(at + 8));
        const isSlot = Number((this.u64(at) >> 12n) & 255n) === slot % K.ITLB_SLOTS;
        if (frame === undefined || owner?.pages.has(frame) !== true || hart >= harts || !isSlot) {
          this.say(`hart ${hart}: instruction slot ${slot} leads to no code of its machine`);
        }
      }
    }
  }

  #data(owner: Owned | null, isHart: boolean, at: number, slot: number, isWrite: boolean): void {
    const tag = this.u64(at);
    if (tag === BigInt(slot ^ 1) << 12n) return;
    const what = `${isWrite ? "write" : "read"} slot ${slot} at ${at}`;
    if (!isHart || owner === null) this.say(`${what} of nobody is filled`);
    if (Number((tag >> 12n) & 1023n) !== slot) this.say(`${what}: tag ${tag.toString(16)}`);
    const host = (Number(tag & 0xffff_ffffn) + this.u32(at + K.TLB_ADDEND)) >>> 0;
    if (host === K.ZERO_PAGE) {
      if (isWrite) this.say(`${what} leads to the zero page`);
      if (this.arena("ARENA_ZERO_MAPPED") === 0) this.say(`${what}: zero page, but not noted`);
      return;
    }
    const frame = (host - this.arena("ARENA_POOL")) / FRAME_BYTES;
    if (owner?.pages.has(frame) !== true) this.say(`${what} leads to frame ${frame} of another`);
    const epochOf = (field: string) => this.entry(frame, field);
    if (epochOf("FRAME_TAG_EPOCH") !== this.arena("ARENA_EPOCH")) this.say(`${what}: no tag noted`);
    const page = Number((tag >> 12n) & 0xffff_ffffn);
    const tags = epochOf("FRAME_TAGS");
    const pages = this.arena("ARENA_FRAME_TABLE") + frame * K.FRAME_ENTRY_BYTES + K.FRAME_TAG_PAGES;
    const isNoted = [0, 1].some((at) => at < tags && this.u32(pages + at * 4) === page);
    if (tags !== K.TAGS_MANY && !isNoted) this.say(`${what}: its page is not noted`);
    if (!isWrite) return;
    if (owner?.own.has(frame) !== true) this.say(`${what} leads to shared frame ${frame}`);
    if (this.entry(frame, "FRAME_CHUNK") !== 0) this.say(`${what} leads to decoded code`);
    const epoch = this.arena("ARENA_EPOCH");
    if (this.entry(frame, "FRAME_WALK_EPOCH") === epoch) this.say(`${what} leads to a table`);
    if (this.entry(frame, "FRAME_WRITE_EPOCH") !== epoch) this.say(`${what} is not noted`);
  }
}

/** What does not hold in an arena of exactly these machines and roots; empty when all is well. */
export function brokenInvariants(
  core: Core,
  machines: readonly MachineView[],
  roots: readonly RetainedRoot[] = [],
): string[] {
  const walker = new Walker(core);
  for (const machine of machines) walker.machine(machine);
  for (const root of roots) walker.root(root.handle, root.ramPages);
  walker.pool();
  const chunks = walker.chunks();
  const inSlot = walker.arena("ARENA_SLOT_OWNER");
  const owner = machines.find((machine) => machine.address === inSlot);
  const owned = owner === undefined ? null : walker.owned(owner.get32(MACHINE_ROOT));
  walker.tlbs(owned, owner?.get32(MACHINE_HARTS) ?? 0, chunks);
  return walker.complaints;
}

/** Where something lies that a test of the walker damages; `index` is a frame's or a slot's. */
export function addressOf(
  core: Core,
  what: "references" | "free" | "tlb" | "zero mapped" | "epoch",
  index: number,
): number {
  const walker = new Walker(core);
  switch (what) {
    case "references":
      return walker.arena("ARENA_FRAME_TABLE") + index * K.FRAME_ENTRY_BYTES + K.FRAME_REFERENCES;
    case "free":
      return K.ARENA + K.ARENA_FRAMES_FREE;
    case "tlb":
      return K.TLB_BASE + index * 16;
    case "zero mapped":
      return K.ARENA + K.ARENA_ZERO_MAPPED;
    case "epoch":
      return K.ARENA + K.ARENA_EPOCH;
  }
}
