/**
 * planted: bugs in sharing, dirty logs and absent pages, planted one at a time in a copy of the
 * core, and the suite that must fail because of it.
 */
import { suite } from "uvu";
import { type Planted, plantAll } from "../mmu/plant.ts";

const test = suite("memory/planted");
/** Sees what is plain; what only random programs see. */
const SUITES = ["memory/share", "law0/sharing"];
const STAGE2 = "memory/stage2.ts";
const SHARE = "memory/share.ts";
const LOG = "memory/log.ts";
const TLB = "mmu/tlb.ts";
const TRANSLATE = "mmu/translate.ts";
const MACHINE = "machine.ts";

const BUGS: readonly Omit<Planted, "suites">[] = [
  {
    title: "a retained root does not count its leaves",
    file: SHARE,
    from: "    if (leaf != 0) frameRetain(leaf);\n  }\n  slotTagsDropWrite",
    to: "  }\n  slotTagsDropWrite",
  },
  {
    title: "write tags stay when a root is retained",
    file: SHARE,
    from: "  slotTagsDropWrite(machine);\n  return root;",
    to: "  return root;",
  },
  {
    title: "the last slot of a root is not retained",
    file: SHARE,
    from: "(load<u32>(machine, MACHINE_RAM_PAGES) + 511) >> 9;\n  for",
    to: "(load<u32>(machine, MACHINE_RAM_PAGES) + 511) >> 10;\n  for",
  },
  {
    title: "a copied leaf does not hold its frames",
    file: STAGE2,
    from: "    if ((<u32>entry & 15) == KIND_FRAME) frameRetain(<u32>(entry >> 32));\n  }\n  frameRelease(leaf); // not",
    to: "  }\n  frameRelease(leaf); // not",
  },
  {
    title: "the leaf that was copied keeps its holder",
    file: STAGE2,
    from: "  frameRelease(leaf); // not the last holder\n",
    to: "",
  },
  {
    title: "a shared leaf is written in place",
    file: STAGE2,
    from: "if (leaf != 0 && frameReferences(leaf) == 1) return leaf;",
    to: "if (leaf != 0) return leaf;",
  },
  {
    title: "a shared frame is written in place",
    file: STAGE2,
    from: "} else if (frameReferences(frame) != 1) {",
    to: "} else if (frameReferences(frame) > 2) {",
  },
  {
    title: "the frame that was copied keeps its holder",
    file: STAGE2,
    from: "    frameRelease(old); // not the last holder\n",
    to: "",
  },
  {
    title: "read tags stay on the frame that was copied",
    file: TLB,
    from: "  tagsDrop(from, 0);\n  const old",
    to: "  const old",
  },
  {
    title: "decoded code of the frame that was copied stays cached",
    file: TLB,
    from: "  if (load<u32>(old, FRAME_CHUNK) != 0) instructionDropAll();\n  if (load<u32>(old, FRAME_WALK",
    to: "  if (load<u32>(old, FRAME_WALK",
  },
  {
    title: "a copied page table is not known to be one",
    file: TLB,
    from: "  store<u32>(entry, load<u32>(old, FRAME_WALK_EPOCH), FRAME_WALK_EPOCH);\n",
    to: "",
  },
  {
    title: "a third tag of a frame is forgotten",
    file: TLB,
    from: "load<u32>(entry, FRAME_TAG_PAGES) == page || tags == TAGS_MANY) return;",
    to: "load<u32>(entry, FRAME_TAG_PAGES) == page || tags == 2) return;",
  },
  {
    title: "a second tag of a frame is forgotten",
    file: TLB,
    from: "  if (tags == 1) store<u32>(entry, page, FRAME_TAG_PAGES + 4);\n  store<u32>(entry, tags + 1, FRAME_TAGS);",
    to: "  if (tags > 1) store<u32>(entry, tags + 1, FRAME_TAGS);",
  },
  {
    title: "tags are dropped in one regime",
    file: TLB,
    from: "for (let regime: usize = 0; regime < 4; regime++) {\n        dropIfAt",
    to: "for (let regime: usize = 3; regime < 4; regime++) {\n        dropIfAt",
  },
  {
    title: "setting A or D marks no log and copies nothing",
    file: TRANSLATE,
    from: "const frame = stage2Own(machine, ramPage(machine, at));",
    to: "const frame = stage2Frame(machine, ramPage(machine, at));",
  },
  {
    title: "opening a log leaves write tags",
    file: MACHINE,
    from: "  if (log != 0) slotTagsDropWrite(machine);\n",
    to: "",
  },
  {
    title: "harvesting leaves write tags",
    file: MACHINE,
    from: "    if (frame != 0 && frame != ABSENT) writeTagsDrop(frame);\n",
    to: "",
  },
  {
    title: "only the first log is marked",
    file: LOG,
    from: "    open &= open - 1;",
    to: "    open = 0;",
  },
  {
    title: "a harvest forgets which window it is in",
    file: LOG,
    from: "store<u32>(each, load<u32>(each) + first);",
    to: "store<u32>(each, load<u32>(each));",
  },
  {
    title: "a page's mark goes to its neighbour",
    file: LOG,
    from: "dirtyMark(bits, summaryAt(header, window), page & WINDOW_MASK);",
    to: "dirtyMark(bits, summaryAt(header, window), (page ^ 1) & WINDOW_MASK);",
  },
  {
    title: "going back marks no log",
    file: SHARE,
    from: "      store<u64>(to + at, next);\n      logMark(machine, (slot << 9) | <u32>(at >> 3));",
    to: "      store<u64>(to + at, next);",
  },
  {
    title: "going back keeps translations",
    file: MACHINE,
    from: "  if (isInSlot) tlbDropAll(machine);\n  return changed;",
    to: "  return changed;",
  },
  {
    title: "going back gives no frame back",
    file: SHARE,
    from: "      if ((<u32>old & 15) == KIND_FRAME) frameRelease(<u32>(old >> 32));\n",
    to: "",
  },
  {
    title: "a page that leaves stays in the TLB",
    file: TLB,
    from: "  writeTagsDrop(frame);\n  tagsDrop(frame, 0);\n",
    to: "  writeTagsDrop(frame);\n",
  },
  {
    title: "a ZERO page that leaves can still be read",
    file: STAGE2,
    from: "  if (from == KIND_ZERO) zeroTagsDrop();\n  else if",
    to: "  if",
  },
  {
    title: "a walk takes an absent table for an empty one",
    file: TRANSLATE,
    from: "    if (frame == ABSENT) {\n      absentNote(machine, page);\n      return TRANSLATE_PAGE;\n    }\n    const pte",
    to: "    if (frame == ABSENT) return faultSet(access, false, va);\n    const pte",
  },
];

plantAll(
  test,
  BUGS.map((bug) => ({ ...bug, suites: SUITES })),
);
test.run();
