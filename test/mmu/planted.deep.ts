/**
 * planted: bugs in the TLB, the walks, the page door, the pool and the run loop, planted one at a
 * time in a copy of the core, and the suite of test/mmu, test/memory or test/law0 that must fail
 * because of it.
 */
import { suite } from "uvu";
import { type Planted, plantAll } from "./plant.ts";

const test = suite("mmu/planted");

const SEEN = { tlb: "mmu/tlb", change: "mmu/coherence", random: "mmu/random" } as const;
const TLB = "mmu/tlb.ts";
const TRANSLATE = "mmu/translate.ts";
const DOOR = "memory/door.ts";

const PLANTED: readonly Planted[] = [
  {
    title: "the invalid tag of a new TLB is 0",
    file: TLB,
    from: "store<u64>(at, (<u64>(slot ^ 1)) << 12);\n    store<u64>(at, 0, 8);",
    to: "store<u64>(at, 0);\n    store<u64>(at, 0, 8);",
    suites: [SEEN.tlb],
  },
  {
    title: "the invalid tag after a drop is the slot's own number",
    file: TLB,
    from: "const tag = (<u64>((word & 1023) ^ 1)) << 12;",
    to: "const tag = (<u64>(word & 1023)) << 12;",
    suites: [SEEN.tlb, SEEN.change],
  },
  {
    title: "the invalid tag after a page's drop is 1 << 63",
    file: TLB,
    from: "const tag = (<u64>(slot ^ 1)) << 12;\n  for (let hart",
    to: "const tag: u64 = 0x8000000000000000;\n  for (let hart",
    suites: [SEEN.change],
  },
  {
    title: "write tags stay on a frame that a walk reads",
    file: TRANSLATE,
    from: "  store<u32>(entry, 0, FRAME_STORES);\n  writeTagsDrop(frame);",
    to: "  store<u32>(entry, 0, FRAME_STORES);",
    suites: [SEEN.change, SEEN.random],
  },
  {
    title: "write tags stay on a frame that becomes code",
    file: "hart/fetch.ts",
    from: "  store<u32>(entry, 0, FRAME_STORES);\n  writeTagsDrop(frame);",
    to: "  store<u32>(entry, 0, FRAME_STORES);",
    suites: ["memory/code", SEEN.random],
  },
  {
    title: "a table that serves two regions is taken for one of the first",
    file: TRANSLATE,
    from: "if (load<u32>(entry, FRAME_WALK_REGION) != region)",
    to: "if (load<u32>(entry, FRAME_WALK_REGION) == WALK_MANY)",
    suites: [SEEN.change, SEEN.random],
  },
  {
    title: "a store into two entries drops the translations of the first",
    file: DOOR,
    from: "for (; at < offset + bytes; at += 8) {",
    to: "for (; at <= offset; at += 8) {",
    suites: [SEEN.change, SEEN.random],
  },
  {
    title: "a changed entry is dropped on the first hart alone",
    file: TLB,
    from: "export function tlbDropPage(machine: usize, page: u32): void {\n  const harts = load<u32>(machine, MACHINE_HARTS);",
    to: "export function tlbDropPage(machine: usize, page: u32): void {\n  const harts: u32 = 1;",
    suites: [SEEN.change, SEEN.random],
  },
  {
    title: "a changed entry leaves what U executes",
    file: TLB,
    from: "    store<u64>(instruction, 1);\n    store<u64>(instruction, 1, ITLB_ARRAY);",
    to: "    store<u64>(instruction, 1, ITLB_ARRAY);",
    suites: [SEEN.change],
  },
  {
    title: "a changed entry leaves what S executes",
    file: TLB,
    from: "    store<u64>(instruction, 1, ITLB_ARRAY);",
    to: "",
    suites: [SEEN.change],
  },
  {
    title: "read tags of the zero page stay when a write makes it a frame",
    file: "memory/stage2.ts",
    from: "    zeroTagsDrop();\n    store",
    to: "    store",
    suites: [SEEN.change],
  },
  {
    title: "a flush of one hart of several ends the epoch",
    file: TLB,
    from: "if (load<u32>(machine, MACHINE_HARTS) == 1) epochEnd();",
    to: "epochEnd();",
    suites: [SEEN.change, SEEN.random],
  },
  {
    title: "MXR leaves the translations",
    file: "hart/slice.ts",
    from: "    tlbDropHart(machine, hart);\n",
    to: "",
    suites: [SEEN.tlb],
  },
  {
    title: "SUM has no TLB of its own",
    file: TRANSLATE,
    from: "(mstatus & MSTATUS_SUM) != 0 ? REGIME_SUM : 1;",
    to: "1;",
    suites: [SEEN.tlb],
  },
  {
    title: "satp is written without a flush",
    file: "hart/csr.ts",
    from: "store<u64>(RUN, value & (SATP_MODE | SATP_PPN), HART_SATP);\n  changedMarkFlush();",
    to: "store<u64>(RUN, value & (SATP_MODE | SATP_PPN), HART_SATP);",
    suites: [SEEN.change],
  },
  {
    title: "PMP is written without a flush",
    file: "mmu/pmp.ts",
    from: "  pmpActiveUpdate();\n  changedMarkFlush();",
    to: "  pmpActiveUpdate();",
    suites: [SEEN.change],
  },
  {
    title: "a page with a PMP boundary inside enters the TLB",
    file: TRANSLATE,
    from: "const isUniform = load<u32>(RUN, HART_PMP_ACTIVE) == 0 || pmpPageUniform(physical);",
    to: "const isUniform = true;",
    suites: [SEEN.change],
  },
  {
    title: "a store sets A where D is clear",
    file: TRANSLATE,
    from: "PTE_A | (access == ACCESS_STORE ? PTE_D : 0);\n  if ((pte",
    to: "PTE_A;\n  if ((pte",
    suites: [SEEN.change],
  },
  {
    title: "an edge is canonical one bit too far out",
    file: TRANSLATE,
    from: "const unused = 64 - (12 + 9 * levels);",
    to: "const unused = 63 - (12 + 9 * levels);",
    suites: [SEEN.tlb],
  },
  {
    title: "a store into the second half of an instruction leaves it decoded",
    file: DOOR,
    from: "let at = offset >= 2 ? (offset - 2) & ~1 : 0;",
    to: "let at = offset & ~1;",
    suites: ["memory/code"],
  },
  {
    title: "a dropped chunk stays in the instruction TLBs",
    file: DOOR,
    from: "  chunkRelease(entry);\n  instructionDropAll();",
    to: "  chunkRelease(entry);",
    suites: ["memory/code"],
  },
  {
    title: "DMA leaves decoded code",
    file: "machine.ts",
    from: "  if (load<u32>(entry, FRAME_CHUNK) != 0) {",
    to: "  if (load<u32>(entry, FRAME_CHUNK) == 1) {",
    suites: ["memory/code"],
  },
  {
    title: "a frame goes back to the pool with its decoded code",
    file: "memory/frames.ts",
    from: "  if (references != 0) return;\n  chunkRelease(entry);",
    to: "  if (references != 0) return;",
    suites: ["memory/pool", "memory/invariants"],
  },
  {
    title: "a reset does not take the slot first",
    file: "machine.ts",
    from: "  slotTake(machine); // so that what is dropped is this machine's, not the slot's last owner's\n",
    to: "",
    suites: ["memory/pool"],
  },
  {
    title: "an SC that finds no frame has ended its reservation",
    file: "isa/amo.ts",
    from: "ACCESS_STORE);\n  if (outcome != 0) return undone(outcome);",
    to: "ACCESS_STORE);\n  if (outcome != 0) {\n    store<u64>(RUN, NONE, HART_RESERVATION);\n    return undone(outcome);\n  }",
    suites: ["memory/pool"],
  },
  {
    title: "a reservation outlives a turn",
    file: "machine/run.ts",
    from: "  store<u32>(block, 0, HART_QUANTUM_POSITION);\n  store<u64>(block, u64.MAX_VALUE, HART_RESERVATION);\n  const next",
    to: "  store<u32>(block, 0, HART_QUANTUM_POSITION);\n  const next",
    suites: ["memory/reservation"],
  },
  {
    title: "DMA leaves reservations",
    file: "machine.ts",
    from: "store<u64>(block, u64.MAX_VALUE, HART_RESERVATION);",
    to: "{}",
    suites: ["memory/reservation"],
  },
  {
    title: "interrupts are looked at where a run begins",
    file: "machine/run.ts",
    from: "if (position == 0) sample(machine);",
    to: "sample(machine);",
    suites: ["law0/programs"],
  },
  {
    title: "a turn's position is lost where a budget ends",
    file: "machine/run.ts",
    from: "    hartLeave(machine, turn);\n    if (why",
    to: "    if (why == EXIT_BUDGET) store<u32>(RUN, 0, HART_QUANTUM_POSITION);\n    hartLeave(machine, turn);\n    if (why",
    suites: ["law0/programs"],
  },
  {
    title: "a hart that waits is woken in the midst of its turn",
    file: "machine/run.ts",
    from: "if (position == 0 && load<u32>(block, HART_HSM) == 0",
    to: "if (load<u32>(block, HART_HSM) == 0",
    suites: ["law0/programs"],
  },
  {
    title: "a flush ends a reservation",
    file: TLB,
    from: "export function tlbDropAll(machine: usize): void {",
    to: "export function tlbDropAll(machine: usize): void {\n  store<u64>(<usize>load<u32>(machine, 136), u64.MAX_VALUE, 552);",
    suites: ["law0/programs", "memory/reservation"],
  },
];

plantAll(test, PLANTED);
test.run();
