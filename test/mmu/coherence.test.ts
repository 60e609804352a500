/**
 * coherence: whatever changes a page-table entry, code or a page that was not there, the very next
 * instruction acts on it, without SFENCE.VMA or FENCE.I (DESIGN.md section 3).
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeCore } from "./core.ts";
import { ADUE, CBZE, MSTATUS, PTE, RAM } from "./reference.ts";
import type { Mode, Rig, Step } from "./rig.ts";
import { entryOf, RW, RWX, RX, type Space, SV39, SV57, USER } from "./tables.ts";
import {
  DATA,
  makeWorld,
  markOf,
  SUPERPAGE,
  WINDOW,
  WINDOW_FAR,
  type World,
  ZEROS,
} from "./world.ts";

const test = suite("mmu/coherence");
const core = await makeCore();

/** Runs `body` in a world of its own, then compares all of memory. */
function inWorld(mode: typeof SV39 | typeof SV57, harts: number, body: (world: World) => void) {
  const world = makeWorld(core, mode, harts);
  try {
    body(world);
    world.rig.turn(0);
    world.rig.compareAll();
  } finally {
    world.rig.dispose();
  }
}

/**
 * A way to make the doubleword at a physical address `value`; its last instruction is returned, not
 * yet run.
 */
interface Door {
  readonly name: string;
  /**
   * Of two doublewords in a row it writes the upper half of the first and the lower half of the
   * second.
   */
  readonly isHalf?: boolean;
  readonly isZeroOnly?: boolean;
  before?(rig: Rig, at: bigint): void;
  readonly last?: (at: bigint, value: bigint) => Step;
  /** Instead of an instruction. */
  readonly host?: (rig: Rig, at: bigint, value: bigint) => void;
}

const DOORS: readonly Door[] = [
  { name: "sd", last: (address, operand) => ({ kind: "sd", address, operand }) },
  {
    name: "sw of the low half",
    last: (address, operand) => ({ kind: "sw", address, operand }),
    before: (rig, at) => rig.load64(at, rig.reference.read64(at) & 0xffff_ffffn),
  },
  {
    name: "a misaligned sd",
    isHalf: true,
    last: (at, value) => ({ kind: "sd", address: at - 4n, operand: value << 32n }),
  },
  { name: "amoswap.d", last: (address, operand) => ({ kind: "amoswapD", address, operand }) },
  {
    name: "amoor.d",
    last: (address, operand) => ({ kind: "amoorD", address, operand }),
    before: (rig, at) => rig.load64(at, 0n),
  },
  {
    name: "sc.d",
    before: (rig, address) => {
      rig.step("S", { kind: "lrD", address });
    },
    last: (address, operand) => ({ kind: "scD", address, operand }),
  },
  { name: "cbo.zero", isZeroOnly: true, last: (address) => ({ kind: "cboZero", address }) },
  { name: "DMA", host: (rig, at, value) => rig.load64(at, value) },
  {
    name: "another hart's sd",
    host: (rig, address, operand) => {
      rig.turn(1);
      rig.step("S", { kind: "sd", address, operand });
      rig.turn(0);
    },
  },
];

/**
 * Everything that may be cached about a page, in both of its modes: reads, and then writes or
 * code, because a frame with decoded code has no write tag, and a store drops the code.
 */
function warm(rig: Rig, va: bigint, isUser: boolean, isCode = false): void {
  for (const mode of isUser ? (["M as U", "U"] as const) : (["M as S", "S"] as const)) {
    rig.step(mode, { kind: "ld", address: va });
    if (!isCode) rig.step(mode, { kind: "sd", address: va + 64n, operand: markOf(1) });
    else if (mode === "S" || mode === "U") rig.jump(mode, va);
  }
}

/** The three accesses afterwards. */
function look(rig: Rig, mode: "S" | "U", va: bigint): void {
  rig.step(mode, { kind: "ld", address: va }, { kind: "sd", address: va + 64n, operand: 0n });
  rig.jump(mode, va + 2n);
  rig.step(mode === "S" ? "M as S" : "M as U", { kind: "ld", address: va });
}

/**
 * Goes through one door, with the access as the next instruction of the same turn when the door is
 * an instruction.
 */
function goThrough(rig: Rig, door: Door, at: bigint, value: bigint, va: bigint): void {
  if (door.host !== undefined) {
    door.host(rig, at, value);
    return;
  }
  const last = (door.last as NonNullable<Door["last"]>)(at, value);
  rig.step("S", last, { kind: "ld", address: va });
}

/**
 * Edits the entry for `va` at `level` to each of `values`, through every door, with everything
 * about the page cached.
 */
function editEverywhere(
  world: World,
  va: bigint,
  level: number,
  values: readonly bigint[],
  isUser = false,
): void {
  const { rig, space } = world;
  const at = space.entryAddress(va, level);
  const old = rig.reference.read64(at);
  for (const door of DOORS) {
    for (const value of door.isZeroOnly ? [0n] : values) {
      for (const isCode of [false, true]) {
        warm(rig, va, isUser, isCode);
        door.before?.(rig, at);
        goThrough(rig, door, at, value, va);
        rig.jump(isUser ? "U" : "S", va);
        look(rig, "S", va);
        look(rig, "U", va);
        rig.load64(at, old);
        look(rig, "S", va);
      }
    }
  }
}

/**
 * New entries for a leaf: another page, fewer rights, A or D clear, a user's page, reserved bits,
 * nothing.
 */
function leaves(old: bigint, other: bigint): bigint[] {
  return [
    entryOf(other, RWX),
    entryOf(other, RX),
    entryOf(other, PTE.V | PTE.X | PTE.A),
    entryOf(other, RWX | USER),
    old & ~(PTE.A | PTE.D),
    old & ~PTE.D,
    old | (1n << 60n),
    old & ~PTE.V,
    entryOf(0x1000_0000n, RW),
    0n,
  ];
}

for (const mode of [SV39, SV57] as const) {
  const levels = mode - 5;
  for (let level = 0; level < levels; level++) {
    test(`satp mode ${mode}: an entry at level ${level} changes under cached translations`, () => {
      inWorld(mode, 2, (world) => {
        const { rig, space, pages } = world;
        const va = WINDOW + 0x3000n;
        const old = rig.reference.read64(space.entryAddress(va, level));
        if (level === 0) {
          editEverywhere(world, va, 0, leaves(old, DATA + 0x9000n));
          return;
        }
        // another table of the same shape whose last level leads elsewhere
        const copy = copyTables(world, va, level);
        const values = [entryOf(copy, PTE.V), entryOf(pages.take(), PTE.V), old & ~PTE.V, 0n];
        if (level === 1) values.push(entryOf(DATA, RWX), entryOf(DATA + 0x1000n, RWX));
        editEverywhere(world, va, level, values);
      });
    });
  }
}

/** Tables below `level` once more, so that `va` leads to another page. Returns the highest. */
function copyTables({ rig, pages }: World, va: bigint, level: number): bigint {
  const top = pages.take();
  let table = top;
  for (let at = level - 1; at >= 0; at--) {
    const entry = table + ((va >> BigInt(12 + 9 * at)) & 511n) * 8n;
    const below = at === 0 ? DATA + 0xb000n : pages.take();
    rig.load64(entry, entryOf(below, at === 0 ? RWX : PTE.V));
    table = below;
  }
  return top;
}

test("a user page's entry changes under what U has cached", () => {
  inWorld(SV39, 2, (world) => {
    const va = WINDOW_FAR + 0x2000n;
    const old = world.rig.reference.read64(world.space.entryAddress(va, 0));
    const others = [entryOf(DATA + 0x9000n, RWX | USER), entryOf(DATA + 0x9000n, RX | USER)];
    editEverywhere(world, va, 0, [...leaves(old, DATA + 0x9000n), ...others], true);
  });
});

test("one last-level table in two regions: an edit is seen in both", () => {
  // the second region's pages have TLB slots of their own, or share those of the first
  for (const second of [0x7020_0000n, 0x7040_0000n]) {
    inWorld(SV39, 2, ({ rig, space }) => {
      const table = space.entryAddress(WINDOW, 0) & ~0xfffn;
      space.point(second, 1, table);
      rig.loadAll();
      const names = [WINDOW + 0x2000n, second + 0x2000n];
      const at = table + 2n * 8n;
      for (let round = 0; round < 8; round++) {
        // once with the marks of one region, once with those of both
        for (const va of round % 2 === 0 ? names : [...names].reverse()) warm(rig, va, false);
        const operand = entryOf(DATA + BigInt(8 + round) * 4096n, RWX);
        const [looked, other] = round % 4 < 2 ? names : [...names].reverse();
        rig.step("S", { kind: "sd", address: at, operand }, { kind: "ld", address: looked });
        look(rig, "S", looked);
        look(rig, "S", other);
      }
    });
  }
});

test("superpages: their entry, turned into a table and back, under cached pages of both", () => {
  inWorld(SV39, 2, (world) => {
    const { rig, space, pages } = world;
    const table = pages.take();
    for (let page = 0n; page < 8n; page++) {
      rig.load64(table + page * 8n, entryOf(DATA + (20n - page) * 4096n, RWX));
    }
    const old = rig.reference.read64(space.entryAddress(SUPERPAGE, 1));
    const values = [...leaves(old, DATA), entryOf(table, PTE.V)];
    for (const page of [0n, 2n, 7n]) {
      editEverywhere(world, SUPERPAGE + page * 4096n, 1, values);
    }
  });
});

test("a store that crosses from one table into the next changes both entries", () => {
  inWorld(SV39, 1, ({ rig, space, pages }) => {
    // the last entry of one table lies right below the first of the next
    const [first, second] = [pages.take(), pages.take()];
    assert.is(second, first + 4096n);
    space.point(0x5000_0000n, 1, first);
    space.point(0x5020_0000n, 1, second);
    rig.loadAll();
    rig.load64(first + 511n * 8n, entryOf(DATA + 0x1000n, RWX));
    rig.load64(second, entryOf(DATA + 0x2000n, RWX));
    const [below, above] = [0x5020_0000n - 8n, 0x5020_0000n];
    for (let round = 0; round < 4; round++) {
      warm(rig, below - 64n, false);
      warm(rig, above, false);
      // the upper half of one, the lower half of the other
      const target = entryOf(DATA + BigInt(3 + round) * 4096n, RWX) & 0xffff_ffffn;
      const operand = target << 32n;
      rig.step("S", { kind: "sd", address: second - 4n, operand }, { kind: "ld", address: above });
      look(rig, "S", above);
      look(rig, "S", below - 64n);
      // and an access across the two pages
      rig.step("S", { kind: "ld", address: above - 3n });
    }
  });
});

test("an aliased table: edits through a mapping of the table itself", () => {
  inWorld(SV39, 1, ({ rig, space }) => {
    const va = WINDOW + 0x5000n;
    const table = space.entryAddress(va, 0) & ~0xfffn;
    const alias = WINDOW_FAR + 0x8000n;
    rig.load64(space.entryAddress(alias, 0), entryOf(table, RW | USER));
    rig.step("M", { kind: "mstatusSet", operand: MSTATUS.SUM });
    const at = alias + ((va >> 12n) & 511n) * 8n;
    for (let round = 0; round < 40; round++) {
      const operand = entryOf(DATA + BigInt(round % 20) * 4096n, round % 7 === 6 ? RX : RWX);
      warm(rig, va, false);
      const mode = round % 2 === 0 ? "S" : "U";
      const [store] = rig.step(mode, { kind: "sd", address: at, operand });
      assert.is(store.kind, "done");
      const [{ value }] = rig.step("S", { kind: "ld", address: va + 8n });
      assert.is(value, markOf(round % 20));
    }
  });
});

test("A and D: set by the walk, cleared by a store, set again by the next access", () => {
  inWorld(SV39, 2, ({ rig, space }) => {
    const va = WINDOW + 0x6000n;
    const at = space.entryAddress(va, 0);
    const bare = entryOf(DATA + 0x6000n, RWX) & ~(PTE.A | PTE.D);
    const bits = () => rig.reference.read64(at) & (PTE.A | PTE.D);
    for (const mode of ["S", "M as S"] as const) {
      for (let round = 0; round < 3; round++) {
        rig.step("S", { kind: "sd", address: at, operand: bare }, { kind: "ld", address: va });
        assert.is(bits(), PTE.A);
        rig.step(mode, { kind: "ld", address: va }, { kind: "sd", address: va, operand: 5n });
        assert.is(bits(), PTE.A | PTE.D);
        rig.step("S", { kind: "sd", address: at, operand: bare | PTE.A });
        rig.step(mode, { kind: "sd", address: va + 8n }, { kind: "sd", address: va + 16n });
        assert.is(bits(), PTE.A | PTE.D);
        rig.compareAll();
      }
    }
    // Svade: both clear bits fault, and nothing is set
    rig.step("M", { kind: "menvcfg", operand: CBZE });
    rig.step("S", { kind: "sd", address: at, operand: bare }, { kind: "ld", address: va });
    rig.step("S", { kind: "sd", address: at, operand: bare | PTE.A }, { kind: "ld", address: va });
    const [fault] = rig.step("S", { kind: "sd", address: va });
    assert.equal(fault, { kind: "trap", cause: 15, value: va });
    rig.step("M", { kind: "menvcfg", operand: CBZE | ADUE });
    rig.step("S", { kind: "sd", address: va });
  });
});

test("a table that is data again is written at full speed, and correctly", () => {
  inWorld(SV39, 1, ({ rig, space, pages }) => {
    const va = 0x6000_0000n;
    const table = pages.take();
    space.point(va, 1, table);
    rig.loadAll();
    rig.load64(table, entryOf(DATA, RWX));
    warm(rig, va, false);
    const pointer = space.entryAddress(va, 1);
    rig.step("S", { kind: "sd", address: pointer, operand: 0n }, { kind: "ld", address: va });
    const slow = () => rig.machine.counters.slowExits;
    const write = (count: bigint) => {
      const before = slow();
      for (let word = 0n; word < count; word++) {
        rig.step("S", { kind: "sd", address: table + (word % 512n) * 8n, operand: word });
      }
      return slow() - before;
    };
    write(600n);
    assert.ok(write(200n) <= 2, "stores to the former table still leave the hot loop");
    // and once more a table
    rig.load64(table, entryOf(DATA + 0x1000n, RWX));
    rig.step("S", { kind: "sd", address: pointer, operand: entryOf(table, PTE.V) });
    look(rig, "S", va);
    const operand = entryOf(DATA + 0x2000n, RWX);
    rig.step("S", { kind: "sd", address: table, operand }, { kind: "ld", address: va });
  });
});

test("a satp write and a store to the tables of the space it leaves", () => {
  inWorld(SV39, 2, ({ rig, space, pages }) => {
    const second = makeSecond(space, pages);
    rig.loadAll();
    const va = WINDOW + 0x3000n;
    const at = space.entryAddress(va, 0);
    for (let round = 0; round < 6; round++) {
      warm(rig, va, false);
      rig.step("M", { kind: "satp", operand: second.satp }, { kind: "ld", address: RAM });
      look(rig, "S", va);
      // hart 1 is in the first space and has the page cached, too
      rig.turn(1);
      warm(rig, va, false);
      rig.turn(0);
      const operand = entryOf(DATA + BigInt(10 + round) * 4096n, RWX);
      rig.step("S", { kind: "sd", address: at, operand });
      rig.turn(1);
      look(rig, "S", va);
      rig.turn(0);
      rig.step("S", { kind: "satp", operand: space.satp }, { kind: "ld", address: va });
      look(rig, "S", va);
    }
  });
});

/** A second space in which the window is elsewhere. */
function makeSecond(space: Space, pages: World["pages"]): Space {
  const second = new (space.constructor as new (p: World["pages"], m: number) => Space)(
    pages,
    space.mode,
  );
  for (let at = 0n; at < 0x80_0000n; at += 0x20_0000n) second.map(RAM + at, RAM + at, RWX, 1);
  second.mapPages(WINDOW, DATA + 0x8000n, 8, RWX);
  return second;
}

/** Ways to write a page for the first time, with its name in the address space. */
const FIRST_WRITES: readonly { name: string; write(rig: Rig, va: bigint, page: bigint): void }[] = [
  { name: "sd", write: (rig, va) => void rig.step("S", { kind: "sd", address: va, operand: 7n }) },
  {
    name: "sd under another name",
    write: (rig, _va, page) => void rig.step("S", { kind: "sd", address: page, operand: 7n }),
  },
  {
    name: "sd by another hart",
    write: (rig, va) => {
      rig.turn(1);
      rig.step("S", { kind: "sd", address: va, operand: 7n });
      rig.turn(0);
    },
  },
  { name: "DMA", write: (rig, _va, page) => rig.load64(page, 7n) },
  {
    name: "amoswap.d",
    write: (rig, va) => void rig.step("S", { kind: "amoswapD", address: va, operand: 7n }),
  },
  {
    name: "sc.d",
    write: (rig, address) => {
      rig.step("S", { kind: "lrD", address }, { kind: "scD", address, operand: 7n });
    },
  },
  {
    name: "cbo.zero, then sb",
    write: (rig, address) => {
      rig.step("S", { kind: "cboZero", address }, { kind: "sb", address, operand: 7n });
    },
  },
  {
    name: "a store across the page's first byte",
    write: (rig, va) => {
      rig.step("S", { kind: "sd", address: va - 3n, operand: 0x0505_0505_0505_0505n });
    },
  },
];

for (const { name, write } of FIRST_WRITES) {
  test(`zero pages: read under every name, then written by ${name}`, () => {
    inWorld(SV39, 2, ({ rig, space }) => {
      for (let index = 0n; index < 8n; index++) {
        const page = ZEROS + index * 0x3000n + 0x1000n;
        const names = [
          WINDOW + 0x20000n + index * 0x2000n,
          WINDOW_FAR + 0x20000n + index * 0x1000n,
        ];
        for (const va of names) rig.load64(space.entryAddress(va, 0), entryOf(page, RWX));
        rig.load64(space.entryAddress(names[0] - 4096n, 0), entryOf(page - 4096n, RWX));
        const readAll = () => {
          for (const hart of [1, 0]) {
            rig.turn(hart);
            for (const va of [...names, page]) {
              rig.step("S", { kind: "ld", address: va }, { kind: "ld", address: va + 4088n });
            }
            rig.step("M", { kind: "ld", address: page });
            rig.jump("S", names[1]);
          }
        };
        readAll();
        write(rig, names[0], page);
        readAll();
        const [{ value }] = rig.step("S", { kind: "lbu", address: names[1] });
        assert.ok(value !== 0n, "the write is seen under the other name");
      }
    });
  });
}

test("PMP: a boundary inside a page holds byte by byte, and moves with its registers", () => {
  inWorld(SV39, 2, ({ rig }) => {
    const page = DATA + 0x3000n;
    const va = WINDOW + 0x3000n;
    const first = (mode: Mode, step: Step) => rig.step(mode, step);
    const tryAll = () => {
      for (const offset of [-9n, -8n, -7n, -4n, -1n, 0n, 4n, 56n, 60n, 61n, 63n, 64n, 72n]) {
        const address = va + 0x100n + offset;
        for (const mode of ["S", "M as S", "M"] as const) {
          const at = mode === "M" ? address - va + page : address;
          first(mode, { kind: "ld", address: at });
          first(mode, { kind: "sd", address: at, operand: markOf(3) });
          first(mode, { kind: "lbu", address: at });
          if (mode !== "M as S") rig.jump(mode, at);
        }
      }
    };
    tryAll();
    const open = 0x1fn << 16n;
    first("M", { kind: "pmpaddr2", operand: 0x3f_ffff_ffff_ffffn });
    for (const rights of [0n, 1n, 3n, 4n, 5n, 7n]) {
      // NAPOT, 64 bytes at +0x100
      first("M", { kind: "pmpaddr0", operand: ((page + 0x100n) >> 2n) | 7n });
      first("M", { kind: "pmpcfg0", operand: open | 0x18n | rights });
      tryAll();
      // TOR, the same bytes less four
      first("M", { kind: "pmpaddr0", operand: (page + 0x104n) >> 2n });
      first("M", { kind: "pmpaddr1", operand: (page + 0x140n) >> 2n });
      first("M", { kind: "pmpcfg0", operand: open | ((0x08n | rights) << 8n) });
      tryAll();
    }
    first("M", { kind: "pmpcfg0", operand: open });
    tryAll();
  });
});

test("PMP: what denies the tables denies the walk, and A and D only when they must be written", () => {
  inWorld(SV39, 1, ({ rig, space }) => {
    const va = WINDOW + 0x4000n;
    const at = space.entryAddress(va, 0);
    rig.step("M", { kind: "pmpaddr2", operand: 0x3f_ffff_ffff_ffffn });
    for (const rights of [0n, 1n, 3n]) {
      warm(rig, va, false);
      rig.step("M", { kind: "pmpaddr0", operand: ((at & ~0xfffn) >> 2n) | 0x1ffn });
      rig.step("M", { kind: "pmpcfg0", operand: (0x1fn << 16n) | 0x18n | rights });
      look(rig, "S", va);
      rig.load64(at, entryOf(DATA + 0x4000n, RWX) & ~(PTE.A | PTE.D));
      look(rig, "S", va);
      rig.step("M", { kind: "pmpcfg0", operand: 0x1fn << 16n });
      look(rig, "S", va);
    }
  });
});

test.run();
