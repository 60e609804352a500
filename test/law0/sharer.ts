/**
 * sharer: does to a machine between two slices whatever a host may do to its pages: retains and
 * drops roots, opens, harvests and closes logs, forks children and lets them diverge, goes back to
 * where it was, takes pages away and brings them back. The guest must not notice.
 *
 * Used by sharing.test.ts.
 * Holds   each thing is checked on the spot: the root diff equals the dirty log, a child is what
 *         its parent was, a machine that went back is what it was.
 */
import * as assert from "uvu/assert";
import { KIND_BASE, KIND_FRAME, KIND_ZERO } from "../../assembly/layout.ts";
import { restoreBlocks, saveBlocks } from "../../src/core/blocks.ts";
import type { DirtyLog } from "../../src/core/dirty-log.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import type { RetainedRoot } from "../../src/core/root.ts";
import type { Random } from "../helpers/random.ts";
import { brokenInvariants } from "../memory/invariants.ts";
import { type Cutter, digestOf, runTo, WHOLE } from "./split.ts";

const ROOTS_MAX = 5;
const CHILDREN_MAX = 2;

/** A log, and the pages as they were when it was last empty. */
interface Watched {
  readonly log: DirtyLog;
  root: RetainedRoot;
  /** Pages that left or arrived since: their place changed, and perhaps nothing else. */
  readonly moved: Set<number>;
  /** The machine went ahead and back since: pages are marked that are what they were. */
  wentBack: boolean;
}

const all = (batches: Iterable<Uint32Array>): number[] => [...batches].flatMap((b) => [...b]);

/** How often each thing was done. */
export type ShareTally = Record<string, number>;

/** Shares one machine's pages in every way there is. */
export class Sharer implements Cutter {
  readonly #random: Random;
  readonly #most: number;
  readonly #tally: ShareTally;
  readonly #roots: { root: RetainedRoot; digest: string }[] = [];
  readonly #logs: Watched[] = [];
  readonly #children: MachineView[] = [];
  /** Pages that are away, by slot. */
  readonly #away = new Map<number, Uint8Array>();
  #slot = 1;

  constructor(random: Random, most: number, tally: ShareTally) {
    this.#random = random;
    this.#most = most;
    this.#tally = tally;
  }

  next(left: number): number {
    const random = this.#random;
    return Math.min(left, random.chance(20) ? random.between(1, 5) : random.between(1, this.#most));
  }

  #count(what: string): void {
    this.#tally[what] = (this.#tally[what] ?? 0) + 1;
  }

  between(machine: MachineView): void {
    const random = this.#random;
    if (random.chance(20)) machine.flush(random.below(4));
    switch (random.below(9)) {
      case 0:
        this.#retain(machine);
        break;
      case 1:
        this.#release();
        break;
      case 2:
        this.#openLog(machine);
        break;
      case 3:
      case 4:
        this.#harvest(machine);
        break;
      case 5:
        this.#fork(machine);
        break;
      case 6:
        this.#goBack(machine);
        break;
      case 7:
        this.#takeAway(machine);
        break;
      default:
        break;
    }
    if (random.chance(10)) this.check(machine);
  }

  /** Everything in the arena is as it should be. */
  check(...others: MachineView[]): void {
    const roots = [...this.#roots.map(({ root }) => root), ...this.#logs.map(({ root }) => root)];
    const { core } = others[0];
    assert.equal(brokenInvariants(core, [...others, ...this.others, ...this.#children], roots), []);
  }

  /** Machines of the same core that others made. */
  others: readonly MachineView[] = [];

  // ---- roots ----

  #retain(machine: MachineView): void {
    if (this.#roots.length >= ROOTS_MAX) return;
    this.bringAll(machine);
    const root = machine.retainRoot();
    this.#roots.push({ root, digest: Buffer.from(root.digest()).toString("hex") });
    assert.is(this.#roots.at(-1)?.digest, Buffer.from(machine.digestPages()).toString("hex"));
    this.#count("roots");
  }

  #release(): void {
    const index = this.#random.below(ROOTS_MAX);
    const [kept] = this.#roots.splice(index, 1);
    if (kept === undefined) return;
    const digest = Buffer.from(kept.root.digest()).toString("hex");
    assert.is(digest, kept.digest, "a retained root stays as it was");
    kept.root.release();
  }

  // ---- logs ----

  #openLog(machine: MachineView): void {
    if (this.#logs.length >= 3) {
      const [old] = this.#logs.splice(this.#random.below(this.#logs.length), 1);
      old.log.close();
      old.root.release();
      return;
    }
    const [log, root] = [machine.openLog(), machine.retainRoot()];
    this.#logs.push({ log, root, moved: new Set(), wentBack: false });
    this.#count("logs");
  }

  #harvest(machine: MachineView): void {
    if (this.#logs.length === 0) return;
    const watched = this.#random.pick(this.#logs);
    const { log, moved } = watched;
    const root = machine.retainRoot();
    const count = log.count;
    const dirty = all(log.take());
    const differing = all(watched.root.diff(root));
    assert.is(dirty.length, count);
    assert.is(log.count, 0);
    const still = (page: number) => !moved.has(page);
    const marked = new Set(dirty);
    assert.equal(
      (watched.wentBack ? differing.filter((page) => marked.has(page)) : dirty).filter(still),
      differing.filter(still),
      "root diff equals dirty log",
    );
    assert.ok(dirty.every((page, at) => at === 0 || page > dirty[at - 1]));
    watched.root.release();
    watched.root = root;
    moved.clear();
    watched.wentBack = false;
    this.#count("harvests");
    this.#tally["dirty pages"] = (this.#tally["dirty pages"] ?? 0) + dirty.length;
  }

  // ---- children ----

  #fork(machine: MachineView): void {
    if (this.#children.length >= CHILDREN_MAX) {
      this.#children.splice(this.#random.below(CHILDREN_MAX), 1)[0].dispose();
      return;
    }
    this.bringAll(machine);
    const before = digestOf(machine);
    const child = MachineView.fork(machine);
    this.#children.push(child);
    assert.is(digestOf(child), before, "a child is what its parent was");
    // grandchildren share with both
    if (this.#random.chance(30)) {
      const grandchild = MachineView.fork(child);
      runTo(grandchild, grandchild.slots + this.#most, WHOLE);
      grandchild.dispose();
    }
    const slots = machine.slots + this.#random.below(this.#most * 2);
    runTo(child, slots, WHOLE);
    assert.is(digestOf(machine), before, "a child that diverges leaves its parent alone");
    this.#count("forks");
  }

  // ---- back and forth ----

  /** Runs ahead, then back to where it was. */
  #goBack(machine: MachineView): void {
    this.bringAll(machine);
    const before = digestOf(machine);
    const root = machine.retainRoot();
    const blocks = saveBlocks(machine);
    runTo(machine, machine.slots + this.#random.below(this.#most * 2), WHOLE);
    const changed = machine.revertTo(root);
    restoreBlocks(machine, blocks);
    assert.is(digestOf(machine), before, `back after ${changed} pages`);
    const same = machine.retainRoot();
    assert.equal(all(root.diff(same)), [], "the same frames");
    same.release();
    root.release();
    for (const watched of this.#logs) watched.wentBack = true;
    this.#count("reverts");
  }

  // ---- pages that are away ----

  #takeAway(machine: MachineView): void {
    for (let turn = this.#random.between(1, 40); turn > 0; turn--) {
      const page = this.#random.below(machine.ramPages);
      const kind = machine.pageKind(page);
      if (kind !== KIND_FRAME && !(kind === KIND_ZERO && this.#random.chance(5))) continue;
      const bytes = new Uint8Array(4096);
      assert.ok(machine.memory.read(0x8000_0000 + page * 4096, bytes));
      assert.is(machine.pagesLeave(page, 1, KIND_BASE, this.#slot), 1);
      assert.is(machine.pageKind(page), KIND_BASE);
      this.#away.set(this.#slot++, bytes);
      for (const { moved } of this.#logs) moved.add(page);
      this.#count("taken away");
    }
  }

  #arrive(machine: MachineView, page: number): void {
    const bytes = this.#away.get(machine.pageSlot(page)) as Uint8Array;
    const isZero = bytes.every((byte) => byte === 0);
    assert.ok(machine.pageArrive(page, isZero ? null : bytes));
    for (const { moved } of this.#logs) moved.add(page);
  }

  bring(machine: MachineView): void {
    assert.is(machine.pageKind(machine.exitPage), KIND_BASE, "the guest asks for what is away");
    this.#arrive(machine, machine.exitPage);
    this.#count("brought");
  }

  /** Every page is here again. */
  bringAll(machine: MachineView): void {
    for (let page = 0; page < machine.ramPages; page++) {
      if (machine.pageKind(page) === KIND_BASE) this.#arrive(machine, page);
    }
  }

  /** Gives everything back. */
  end(): void {
    for (const child of this.#children) child.dispose();
    for (const { root } of this.#roots) root.release();
    for (const { log, root } of this.#logs) {
      log.close();
      root.release();
    }
  }
}
