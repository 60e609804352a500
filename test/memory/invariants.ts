/**
 * invariants: walks everything in the arena that is derived or counted, from outside, and says what
 * does not hold: reference counts, the free list, decode chunks, and every tag in every TLB
 * (DESIGN.md sections 2 and 3).
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
  LEAF_ENTRIES,
  MACHINE_FRAMES,
  MACHINE_HARTS,
  MACHINE_RAM_PAGES,
  MACHINE_ROOT,
  ROOT_SLOTS,
} from "../../assembly/layout.ts";
import type { Core } from "../../src/core/instance.ts";
import type { MachineView } from "../../src/core/machine-view.ts";

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

/** What the frames of one machine are. */
interface Owned {
  /** Times that each frame is named. */
  readonly named: Map<number, number>;
  readonly pages: Set<number>;
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

  owned(machine: MachineView): Owned {
    const named = new Map<number, number>();
    const pages = new Set<number>();
    const name = (frame: number) => {
      if (frame === 0 || frame > this.arena("ARENA_FRAMES_TOTAL")) this.say(`frame ${frame} named`);
      named.set(frame, (named.get(frame) ?? 0) + 1);
    };
    const root = machine.get32(MACHINE_ROOT);
    name(root);
    for (let slot = 0; slot < ROOT_SLOTS; slot++) {
      const leaf = this.u32(this.frameAddress(root) + slot * 4);
      if (leaf === 0) continue;
      name(leaf);
      for (let index = 0; index < LEAF_ENTRIES; index++) {
        const entry = this.u64(this.frameAddress(leaf) + index * 8);
        const [kind, frame] = [Number(entry & 15n), Number(entry >> 32n)];
        const page = slot * LEAF_ENTRIES + index;
        if (kind === KIND_FRAME) {
          name(frame);
          pages.add(frame);
          if (page >= machine.get32(MACHINE_RAM_PAGES)) this.say(`page ${page} is beyond RAM`);
        } else if (kind !== KIND_ZERO || entry !== 0n) this.say(`page ${page}: entry ${entry}`);
      }
    }
    let count = 0;
    for (const times of named.values()) count += times;
    const held = machine.get32(MACHINE_FRAMES);
    if (held !== count) this.say(`the machine counts ${held} frames and names ${count}`);
    return { named, pages };
  }

  // ---- the pool ----

  pool(named: ReadonlyMap<number, number>): void {
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
  chunks(named: ReadonlyMap<number, number>): Map<number, number> {
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
    if (!isWrite) return;
    if (this.entry(frame, "FRAME_CHUNK") !== 0) this.say(`${what} leads to decoded code`);
    const epoch = this.arena("ARENA_EPOCH");
    if (this.entry(frame, "FRAME_WALK_EPOCH") === epoch) this.say(`${what} leads to a table`);
    if (this.entry(frame, "FRAME_WRITE_EPOCH") !== epoch) this.say(`${what} is not noted`);
  }
}

/** What does not hold in an arena that holds exactly these machines; empty when all is well. */
export function brokenInvariants(core: Core, machines: readonly MachineView[]): string[] {
  const walker = new Walker(core);
  const all = new Map<number, number>();
  let owner: { owned: Owned; harts: number } | null = null;
  const inSlot = walker.arena("ARENA_SLOT_OWNER");
  for (const machine of machines) {
    const owned = walker.owned(machine);
    for (const [frame, times] of owned.named) all.set(frame, (all.get(frame) ?? 0) + times);
    if (machine.address === inSlot) owner = { owned, harts: machine.get32(MACHINE_HARTS) };
  }
  walker.pool(all);
  const chunks = walker.chunks(all);
  walker.tlbs(owner?.owned ?? null, owner?.harts ?? 0, chunks);
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
