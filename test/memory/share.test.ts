/**
 * share: roots, forks, dirty logs and absent pages of the core, one by one; the transition table as
 * a whole; what runs out and is asked again. Random combinations are in test/law0/sharing.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  EVENTS,
  EXIT_MEMORY,
  EXIT_PAGE,
  HART_PC,
  HASH_KEY_BYTES,
  KIND_BASE,
  KIND_FRAME,
  KIND_REMOTE,
  KIND_SWAP_FILE,
  KIND_SWAP_MEM,
  KIND_ZERO,
  KINDS,
  LOGS_MAX,
  NEXT_ABSENT,
  NEXT_NEVER,
  TRANSITIONS_BASE,
  TRANSITIONS_FRAME,
  TRANSITIONS_REMOTE,
  TRANSITIONS_SWAP_FILE,
  TRANSITIONS_SWAP_MEM,
  TRANSITIONS_ZERO,
} from "../../assembly/layout.ts";
import type { Assembler } from "../../src/asm/index.ts";
import { restoreBlocks, saveBlocks } from "../../src/core/blocks.ts";
import type { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { PageCodec } from "../../src/core/page-codec.ts";
import type { RetainedRoot } from "../../src/core/root.ts";
import { Random, seedOf } from "../helpers/random.ts";
import { makeCore } from "../mmu/core.ts";
import { digestOf, emitEnd, finish, makeGuest, RAM, runGuest } from "./guest.ts";
import { brokenInvariants } from "./invariants.ts";
import { source } from "./pages.ts";

const test = suite("memory/share");
const MEBIBYTE = 1024 * 1024;
const PAGE = 4096;

function sound(core: Core, machines: MachineView[], roots: RetainedRoot[] = []): void {
  assert.equal(brokenInvariants(core, machines, roots), []);
}

function plain(core: Core, ramPages = 2048): MachineView {
  return MachineView.create(core, { ramPages, harts: 1, quantum: 100 });
}

const put = (machine: MachineView, page: number, value: number) =>
  machine.memory.writeU64(RAM + page * PAGE, BigInt(value));
const get = (machine: MachineView, page: number) =>
  Number(machine.memory.readU64(RAM + page * PAGE));
const all = (batches: Iterable<Uint32Array>): number[] => [...batches].flatMap((b) => [...b]);

// ---- the transition table ----

const ROWS = [
  TRANSITIONS_ZERO,
  TRANSITIONS_FRAME,
  TRANSITIONS_SWAP_MEM,
  TRANSITIONS_SWAP_FILE,
  TRANSITIONS_REMOTE,
  TRANSITIONS_BASE,
];
const LEAVES = [KIND_SWAP_MEM, KIND_SWAP_FILE, KIND_REMOTE, KIND_BASE];
const [ABSENT, NEVER] = ["has to arrive", "never"] as const;
/** What each event is to make of each kind, in words of its own. */
const MEANT: readonly (readonly (number | typeof ABSENT | typeof NEVER)[])[] = [
  // read, write, arrive, arrive as zeros, leave for SWAP_MEM, SWAP_FILE, REMOTE, BASE
  [KIND_ZERO, KIND_FRAME, NEVER, NEVER, NEVER, NEVER, KIND_REMOTE, KIND_BASE],
  [KIND_FRAME, KIND_FRAME, NEVER, NEVER, KIND_SWAP_MEM, KIND_SWAP_FILE, KIND_REMOTE, KIND_BASE],
  [ABSENT, ABSENT, KIND_FRAME, KIND_ZERO, NEVER, KIND_SWAP_FILE, NEVER, NEVER],
  [ABSENT, ABSENT, KIND_FRAME, KIND_ZERO, NEVER, NEVER, NEVER, NEVER],
  [ABSENT, ABSENT, KIND_FRAME, KIND_ZERO, NEVER, NEVER, NEVER, NEVER],
  [ABSENT, ABSENT, KIND_FRAME, KIND_ZERO, NEVER, NEVER, NEVER, NEVER],
];

/** Brings page 7 into `kind`. */
function enter(machine: MachineView, kind: number): void {
  if (kind === KIND_ZERO) return;
  put(machine, 7, 42);
  if (kind !== KIND_FRAME) assert.is(machine.pagesLeave(7, 1, kind, 99), 1);
}

/** Lets an event happen to page 7; what came of it. */
function happen(machine: MachineView, event: number): number | typeof ABSENT | typeof NEVER {
  const before = machine.pageKind(7);
  const { memory } = machine;
  if (event < 2) {
    const isDone =
      event === 0 ? memory.read(RAM + 7 * PAGE, new Uint8Array(8)) : put(machine, 7, 1);
    if (isDone) return machine.pageKind(7);
    assert.ok(memory.isAbsent);
    assert.is(machine.exitPage, 7);
    assert.is(machine.pageKind(7), before);
    return ABSENT;
  }
  if (event < 4) {
    try {
      assert.ok(machine.pageArrive(7, event === 2 ? new Uint8Array(PAGE).fill(1) : null));
    } catch {
      assert.is(machine.pageKind(7), before);
      return NEVER;
    }
    return machine.pageKind(7);
  }
  const left = machine.pagesLeave(7, 1, LEAVES[event - 4], 5);
  assert.is(machine.pageKind(7), left === 1 ? LEAVES[event - 4] : before);
  return left === 1 ? machine.pageKind(7) : NEVER;
}

test("every event does to every kind of page what the table says, and the table what is meant", async () => {
  const core = await makeCore();
  for (let kind = 0; kind < KINDS; kind++) {
    for (let event = 0; event < EVENTS; event++) {
      const what = `kind ${kind}, event ${event}`;
      const machine = plain(core);
      enter(machine, kind);
      assert.is(machine.pageKind(7), kind, what);
      const next = (ROWS[kind] >>> (event * 4)) & 15;
      const named = next === NEXT_ABSENT ? ABSENT : next === NEXT_NEVER ? NEVER : next;
      assert.is(named, MEANT[kind][event], what);
      assert.is(happen(machine, event), MEANT[kind][event], what);
      sound(core, [machine]);
      machine.dispose();
    }
  }
});

// ---- roots ----

test("a retained root keeps its pages, costs a frame, and gives them back", async () => {
  const core = await makeCore();
  const machine = plain(core);
  for (let page = 0; page < 1500; page += 3) put(machine, page, page + 1);
  const before = core.framesFree;
  const root = machine.retainRoot();
  assert.is(core.framesFree, before - 1);
  assert.is(root.framesOwn, 1);
  assert.equal(
    all(root.pages()),
    Array.from({ length: 500 }, (_, at) => at * 3),
  );
  put(machine, 3, 77);
  // a leaf and a page are copied, no more
  assert.is(core.framesFree, before - 3);
  assert.is(get(machine, 3), 77);
  const view = new DataView((root.page(3) as Uint8Array).slice().buffer);
  assert.is(view.getUint32(0, true), 4);
  assert.is(root.page(1), null);
  const second = machine.retainRoot();
  assert.equal(all(root.diff(second)), [3]);
  put(machine, 1, 5);
  assert.equal(all(second.diff(root)), [3], "roots do not move");
  sound(core, [machine], [root, second]);
  root.release();
  root.release();
  assert.ok(root.isReleased);
  assert.throws(() => root.page(3), /released/);
  second.release();
  sound(core, [machine]);
  machine.dispose();
  assert.is(core.framesFree, core.framesTotal);
});

test("a root outlives its machine", async () => {
  const core = await makeCore();
  const machine = plain(core);
  put(machine, 600, 9);
  const root = machine.retainRoot();
  const digest = machine.digestPages();
  machine.dispose();
  assert.equal(root.digest(), digest);
  sound(core, [], [root]);
  const other = plain(core);
  assert.is(other.revertTo(root), 1);
  assert.is(get(other, 600), 9);
  sound(core, [other], [root]);
  root.release();
  other.dispose();
  assert.is(core.framesFree, core.framesTotal);
});

test("going back changes what was dirtied and nothing else, and keeps what is the machine's own", async () => {
  const core = await makeCore();
  const machine = plain(core);
  for (let page = 0; page < 2000; page++) put(machine, page, page);
  const root = machine.retainRoot();
  const log = machine.openLog();
  for (const page of [0, 1, 511, 512, 1999]) put(machine, page, -1 >>> 0);
  put(machine, 2047, 1);
  const free = core.framesFree;
  assert.equal(all(log.take()), [0, 1, 511, 512, 1999, 2047]);
  assert.is(machine.revertTo(root), 6);
  assert.equal(all(log.take()), [0, 1, 511, 512, 1999, 2047], "going back writes them once more");
  assert.is(get(machine, 511), 511);
  assert.is(get(machine, 2047), 0);
  assert.is(core.framesFree, free + 6, "the pages are given back, the leaves stay");
  assert.is(machine.revertTo(root), 0);
  sound(core, [machine], [root]);
  const small = plain(core, 1024);
  assert.throws(() => small.revertTo(root), /equal RAM/);
});

test("a guest that goes back, or whose page of zeros leaves, reads no stale translation", async () => {
  const core = await makeCore();
  const machine = makeGuest(core, (a) => {
    a.li("s0", RAM + MEBIBYTE);
    a.li("s1", RAM + 2 * MEBIBYTE);
    a.label("again");
    a.ld("t0", "s0", 0);
    a.ld("t1", "s1", 0);
    a.j("again");
  });
  put(machine, 256, 1);
  const first = machine.retainRoot();
  put(machine, 256, 2);
  machine.run(100);
  assert.is(Number(machine.harts[0].x(5)), 2);
  machine.revertTo(first);
  machine.run(100);
  assert.is(Number(machine.harts[0].x(5)), 1);
  assert.is(machine.pageKind(512), KIND_ZERO);
  assert.is(machine.pagesLeave(512, 1, KIND_BASE, 3), 1);
  assert.is(machine.run(100), EXIT_PAGE);
  assert.is(machine.exitPage, 512);
  assert.ok(machine.pageArrive(512, new Uint8Array(PAGE).fill(1)));
  machine.run(100);
  assert.is(machine.harts[0].x(6), 0x0101_0101_0101_0101n);
  sound(core, [machine], [first]);
});

test("reading costs the same at depth 32", async () => {
  const core = await makeCore();
  const machine = plain(core);
  for (let page = 0; page < 512; page++) put(machine, page, page);
  const roots = [machine.retainRoot()];
  for (let depth = 1; depth < 32; depth++) {
    put(machine, depth, depth * 1000);
    roots.push(machine.retainRoot());
  }
  for (const [depth, root] of roots.entries()) {
    const page = new DataView((root.page(31) as Uint8Array).slice().buffer);
    assert.is(page.getUint32(0, true), depth === 31 ? 31_000 : 31);
  }
  sound(core, [machine], roots);
  for (const root of roots.reverse()) root.release();
  sound(core, [machine]);
});

// ---- forks ----

/** Counts up in memory for ever, in pages 256 to 287. */
function counter(a: Assembler): void {
  a.li("s0", RAM + MEBIBYTE);
  a.li("s1", 1);
  a.li("s2", 32 * PAGE);
  a.li("s3", 0);
  a.label("again");
  a.add("t0", "s0", "s3");
  a.ld("t1", "t0", 0);
  a.add("t1", "t1", "s1");
  a.sd("t1", "t0", 0);
  a.li("t2", PAGE);
  a.add("s3", "s3", "t2");
  a.bltu("s3", "s2", "again");
  a.li("s3", 0);
  a.j("again");
}

test("forks of a running guest diverge, and each comes to what it would have alone", async () => {
  const core = await makeCore(64 * MEBIBYTE, 8);
  const parent = makeGuest(core, counter);
  parent.run(12_345);
  const alone = makeGuest(core, counter);
  alone.run(12_345);
  const children = [1, 2, 3].map(() => MachineView.fork(parent));
  for (const child of children) {
    assert.is(digestOf(child), digestOf(parent));
    assert.ok(child.framesOwn <= 2, `${child.framesOwn} frames of its own`);
  }
  for (const [at, child] of children.entries()) {
    child.run(1000 * (at + 1));
    sound(core, [parent, alone, ...children]);
  }
  assert.is(digestOf(parent), digestOf(alone));
  alone.run(3000);
  assert.is(digestOf(children[2]), digestOf(alone));
  parent.dispose();
  children[0].run(2000);
  assert.is(digestOf(children[0]), digestOf(alone));
  for (const machine of [alone, ...children]) machine.dispose();
  assert.is(core.framesFree, core.framesTotal);
  sound(core, []);
});

test("no machine too many: a fork says so and leaks nothing", async () => {
  const core = await makeCore(16 * MEBIBYTE, 2);
  const parent = plain(core);
  MachineView.fork(parent);
  const free = core.framesFree;
  assert.throws(() => MachineView.fork(parent), /no room for another machine/);
  assert.is(core.framesFree, free);
});

// ---- logs ----

test("eight logs do not disturb each other; a ninth is refused", async () => {
  const core = await makeCore();
  const machine = plain(core, 40_000);
  const logs = Array.from({ length: LOGS_MAX }, () => machine.openLog());
  assert.throws(() => machine.openLog(), /8 dirty logs are open/);
  put(machine, 5, 1);
  put(machine, 39_999, 1);
  assert.equal(all(logs[3].take()), [5, 39_999]);
  put(machine, 32_768, 1);
  assert.equal(all(logs[3].take()), [32_768]);
  for (const log of logs) {
    if (log === logs[3]) continue;
    assert.is(log.count, 3);
    assert.ok(log.test(39_999));
    assert.not(log.test(6));
  }
  sound(core, [machine]);
  logs[0].close();
  logs[0].close();
  assert.throws(() => logs[0].count, /closed/);
  const again = machine.openLog();
  assert.is(again.count, 0);
  sound(core, [machine]);
  machine.dispose();
  assert.ok(again.isClosed, "with its machine");
  again.close();
  assert.is(core.framesFree, core.framesTotal);
});

test("a running guest's stores are logged after every harvest, in batches of any size", async () => {
  const core = await makeCore();
  const machine = makeGuest(core, counter);
  machine.run(5000);
  const log = machine.openLog();
  const pages = Array.from({ length: 32 }, (_, at) => 256 + at);
  for (let round = 0; round < 5; round++) {
    machine.run(1000);
    assert.equal(all(log.take()), pages);
  }
  machine.run(9);
  assert.ok(log.count <= 2);
  machine.reset();
  assert.equal(all(log.take()), [0, ...pages], "a reset writes everything");
});

// ---- what runs out, or is not here ----

/** Instructions that may need a page: s0 is its address. */
const TOUCHES: readonly [name: string, emit: (a: Assembler) => void, isStore: boolean][] = [
  ["ld", (a) => a.ld("s5", "s0", 0), false],
  ["fld", (a) => a.fld("fa1", "s0", 8), false],
  ["a load across two pages", (a) => a.ld("s5", "s0", -3), false],
  ["lr.d", (a) => a.lrD("s5", "s0"), false],
  ["sb", (a) => a.sb("s4", "s0", 0), true],
  ["fsd", (a) => a.fsd("fa0", "s0", 8), true],
  ["c.sd", (a) => a.cSd("a0", "s0", 8), true],
  ["a store across two pages", (a) => a.sd("s4", "s0", -3), true],
  ["amoadd.d", (a) => a.amoaddD("s5", "s4", "s0"), true],
  [
    "sc.d",
    (a) => {
      a.lrD("s5", "s0");
      a.scD("s5", "s4", "s0");
    },
    true,
  ],
  ["cbo.zero", (a) => a.cboZero("s0"), true],
  [
    "a jump",
    (a) => {
      a.jalr("ra", "s0", 16);
      a.nop();
    },
    false,
  ],
];

function touching(emit: (a: Assembler) => void): (a: Assembler) => void {
  return (a) => {
    a.li("t0", 0x2000);
    a.csrs("mstatus", "t0");
    a.li("s0", RAM + 3 * MEBIBYTE);
    a.li("s4", 0x1234_5678);
    a.li("t0", 0x8067); // ret
    a.sw("t0", "s0", 16);
    a.sw("t0", "s0", -16);
    a.mv("a0", "s4");
    a.fcvtDL("fa0", "s4");
    a.nop();
    a.label("here");
    emit(a);
    a.csrr("s6", "instret");
    emitEnd(a);
  };
}

/** Runs to `here`: the nop before it has retired. */
function toHere(core: Core, emit: (a: Assembler) => void): MachineView {
  const machine = makeGuest(core, touching(emit));
  while (machine.memory.readU64(Number(machine.harts[0].get64(HART_PC)) - 4) === null) {
    machine.run(1);
  }
  for (let steps = 0; steps < 64; steps++) {
    const pc = Number(machine.harts[0].pc);
    const word = Number((machine.memory.readU64(pc) as bigint) & 0xffff_ffffn);
    machine.run(1);
    if (word === 0x13) return machine;
  }
  throw new Error("no nop");
}

for (const [name, emit, isStore] of TOUCHES) {
  test(`${name}: an absent page is asked for, and then it is as if it had been there`, async () => {
    const core = await makeCore(16 * MEBIBYTE);
    const undisturbed = makeGuest(core, touching(emit));
    finish(undisturbed);
    const digest = digestOf(undisturbed);
    undisturbed.dispose();
    const machine = toHere(core, emit);
    const pages = [767, 768];
    const bytes = pages.map((page) => {
      const copy = new Uint8Array(PAGE);
      machine.memory.read(RAM + page * PAGE, copy);
      assert.is(machine.pagesLeave(page, 1, KIND_BASE, page), 1);
      return copy;
    });
    assert.throws(() => digestOf(machine), /not in memory/);
    sound(core, [machine]);
    let asked = 0;
    for (;;) {
      const state = [machine.slots, machine.retired, machine.harts[0].pc];
      const exit = runGuest(machine, 3);
      if (exit !== EXIT_PAGE) break;
      asked++;
      assert.ok(asked <= 2, "each is asked for once");
      const now = [machine.slots, machine.retired, machine.harts[0].pc];
      if (asked === 2) assert.equal(now, state);
      assert.is(runGuest(machine, 5), EXIT_PAGE);
      const page = machine.exitPage;
      assert.ok(machine.pageArrive(page, bytes[pages.indexOf(page)]));
      sound(core, [machine]);
    }
    assert.ok(asked > 0);
    for (const page of pages) {
      if (machine.pageKind(page) === KIND_BASE) machine.pageArrive(page, bytes[page - 767]);
    }
    finish(machine, 2);
    assert.is(digestOf(machine), digest);
    sound(core, [machine]);
  });
  if (!isStore) continue;
  test(`${name}: a shared page without a frame for its copy waits, and then goes on`, async () => {
    const core = await makeCore(16 * MEBIBYTE);
    const undisturbed = makeGuest(core, touching(emit));
    finish(undisturbed);
    const digest = digestOf(undisturbed);
    undisturbed.dispose();
    const machine = toHere(core, emit);
    const root = machine.retainRoot();
    const hog = MachineView.create(core, { ramPages: 8192, harts: 1, quantum: 1 });
    for (let page = 0; core.framesFree > 0; page++) hog.memory.reserve(RAM + page * PAGE, 1);
    assert.is(runGuest(machine), EXIT_MEMORY);
    const state = [machine.slots, machine.retired, machine.harts[0].pc];
    assert.is(runGuest(machine, 3), EXIT_MEMORY);
    assert.equal([machine.slots, machine.retired, machine.harts[0].pc], state);
    assert.throws(() => machine.retainRoot(), /no frame is free/);
    assert.throws(() => machine.openLog(), /no frame is free/);
    sound(core, [machine, hog], [root]);
    hog.dispose();
    finish(machine, 2);
    assert.is(digestOf(machine), digest);
    sound(core, [machine], [root]);
  });
}

// ---- blocks ----

test("blocks that no guest can have made are refused, and nothing changes", async () => {
  const core = await makeCore();
  const machine = makeGuest(core, counter, { harts: 2 });
  machine.run(3000);
  const bytes = saveBlocks(machine);
  const digest = digestOf(machine);
  let refused = 0;
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of [0, 3, 7]) {
      const bad = bytes.slice();
      bad[at] ^= 1 << bit;
      try {
        restoreBlocks(machine, bad);
        machine.run(50); // whatever it is now, it runs
      } catch (error) {
        assert.is((error as { code?: string }).code, "bad-section", `byte ${at}`);
        refused++;
      }
      restoreBlocks(machine, bytes);
    }
  }
  assert.ok(refused > 500, `${refused} refused`);
  assert.throws(() => restoreBlocks(machine, bytes.subarray(1)), /bytes where/);
  machine.revertTo(machine.retainRoot());
  assert.is(saveBlocks(machine).length, bytes.length);
  assert.type(digest, "string");
});

test("a survey tells where pages are and hashes them, up to one that is absent", async () => {
  const core = await makeCore(64 * MEBIBYTE);
  const machine = plain(core);
  const random = new Random(seedOf(3));
  const key = Uint8Array.from({ length: 16 }, () => random.below(256));
  const codec = await PageCodec.create({ platform: source, key });
  // 100 pages, some equal, each third ZERO, the 90th absent
  for (let page = 0; page < 100; page++) {
    const bytes = new Uint8Array(PAGE).fill(page % 7, page, 4000).fill(9, 4095 - (page % 7));
    if (page % 3 > 0) machine.memory.write(RAM + page * PAGE, bytes);
  }
  assert.is(machine.pagesLeave(89, 1, KIND_BASE, 0), 1);
  const root = machine.retainRoot();
  const asked = Uint32Array.from({ length: 100 }, (_, page) => page);
  const addresses: number[] = [];
  for (let from = 0; ; ) {
    const found = root.survey(asked.subarray(from), codec.hashKey);
    assert.is(found.hashes.length, 4 * found.addresses.length);
    assert.is(found.addresses.length, Math.min(64, 89 - from));
    for (const [index, at] of found.addresses.entries()) {
      const page = root.page(from + index);
      assert.is(at, page?.byteOffset ?? 0);
      if (page === null) continue;
      const hash = found.hashes.slice(4 * index, 4 * index + 4);
      assert.equal(new Uint8Array(hash.buffer), codec.hash(page).slice(), `page ${from + index}`);
    }
    addresses.push(...found.addresses);
    from = addresses.length;
    if (found.addresses.length < 64) break;
  }
  assert.is(root.survey(asked.subarray(89), codec.hashKey).addresses.length, 0);
  const bytesAt = (at: number) => root.memory.slice(at, at + PAGE);
  for (const a of addresses.filter((at) => at > 0)) {
    for (const b of addresses.filter((at) => at > 0)) {
      const isSame = Buffer.compare(bytesAt(a), bytesAt(b)) === 0;
      if (root.areSame(a, b) !== isSame) assert.unreachable(`${a} ${b}`);
    }
  }
  assert.throws(() => root.survey(asked, key), /4192/);
  assert.throws(() => root.survey(Uint32Array.of(2048), codec.hashKey), /2048 pages/);
  root.release();
  assert.throws(() => root.survey(asked, codec.hashKey), /released/);
  machine.dispose();
});

test("pages are the same only when each of their bits is", async () => {
  const core = await makeCore(64 * MEBIBYTE);
  const machine = plain(core);
  const bytes = new Uint8Array(PAGE).fill(5);
  for (const page of [0, 1]) machine.memory.write(RAM + page * PAGE, bytes);
  const root = machine.retainRoot();
  const { addresses } = root.survey(Uint32Array.of(0, 1), new Uint8Array(HASH_KEY_BYTES));
  const [a, b] = addresses.slice();
  assert.ok(root.areSame(a, b));
  for (let bit = 0; bit < PAGE * 8; bit++) {
    root.memory[b + (bit >> 3)] ^= 1 << (bit & 7);
    if (root.areSame(a, b)) assert.unreachable(`bit ${bit} is not looked at`);
    root.memory[b + (bit >> 3)] ^= 1 << (bit & 7);
  }
  root.release();
  machine.dispose();
});

test.run();
