/**
 * mutations: bugs to plant in a copy of the core, one at a time, and the build of such a copy.
 *
 * Used by planted.test.ts (a few) and planted.deep.ts (all).
 * Holds   each changes one expression of assembly/; when the source has moved on, applying it fails
 *         by name, so a mutation is never silently lost.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One bug: in `file` of assembly/, `from` (which occurs there) becomes `to`. */
export interface Mutation {
  readonly title: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Several lines of source. */
export const lines = (...text: string[]): string => text.join("\n");

/** In no order; a test that takes a few says which. */
export const MUTATIONS: readonly Mutation[] = [
  {
    title: "SREM of a word by -1 gives the dividend",
    file: "hart/run.ts",
    from: "b == -1 ? 0 : a % b",
    to: "b == -1 ? a : a % b",
  },
  {
    title: "MULHSU treats both operands as signed",
    file: "hart/run.ts",
    from: "mulHigh(a, b) - (<u64>(<i64>a >> 63) & b));",
    to: "mulHigh(a, b) - (<u64>(<i64>a >> 63) & b) - (<u64>(<i64>b >> 63) & a));",
  },
  {
    title: "SH2ADD is decoded as SH1ADD",
    file: "hart/decode.ts",
    from: "funct3 == 4 ? OP_SH2ADD : funct3 == 6",
    to: "funct3 == 4 ? OP_SH1ADD : funct3 == 6",
  },
  {
    title: "JALR writes its link before it reads its base",
    file: "hart/run.ts",
    from: lines(
      "        target = (x1(ip) + <u64>(<i64>imm(ip) >> 16)) & ~1;",
      "        set(ip, page + <u64>load<u16>(ip, 4));",
    ),
    to: lines(
      "        set(ip, page + <u64>load<u16>(ip, 4));",
      "        target = (x1(ip) + <u64>(<i64>imm(ip) >> 16)) & ~1;",
    ),
  },
  {
    title: "C.ADDI16SP swaps two bits of its immediate",
    file: "isa/compressed.ts",
    from: "(bits(c, 2, 2) << 5) | (bits(c, 6, 6) << 4);\n        const wide",
    to: "(bits(c, 2, 2) << 4) | (bits(c, 6, 6) << 5);\n        const wide",
  },
  {
    title: "AMOMIN compares without sign",
    file: "isa/amo.ts",
    from: "case 16: return <i64>old < <i64>value ? old : value;",
    to: "case 16: return old < value ? old : value;",
  },
  {
    title: "an SC leaves the reservation standing",
    file: "isa/amo.ts",
    from: "store<u64>(RUN, NONE, HART_RESERVATION);",
    to: "",
  },
  {
    title: "a misaligned AMO reports a load",
    file: "isa/amo.ts",
    from: "funct5 == 2 ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED",
    to: "funct5 <= 2 ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED",
  },
  {
    title: "RMM rounds a tie to even",
    file: "isa/softfloat-core.ts",
    from: "if (lost == (mask >> 1) + 1 && mode == MODE_RNE) kept",
    to: "if (lost == (mask >> 1) + 1 && (mode == MODE_RNE || mode == MODE_RMM)) kept",
  },
  {
    title: "tininess is detected before rounding",
    file: "isa/softfloat-core.ts",
    from: "if (exponent < 0 || significand + increment >= significand) underflow",
    to: "underflow",
  },
  {
    title: "a directed overflow always gives infinity",
    file: "isa/softfloat-core.ts",
    from: "increment == 0 ? infinity<T>() - 1 : infinity<T>()",
    to: "infinity<T>()",
  },
  {
    title: "a cancelled sum is +0 in every mode",
    file: "isa/softfloat-core.ts",
    from: "return mode == MODE_RDN ? signMask<T>() : 0;",
    to: "return 0;",
  },
  {
    title: "a fused sum loses the sticky bit of its addend",
    file: "isa/softfloat-fma.ts",
    from: "addLow = shiftRightSticky(addHigh, distance - 64);",
    to: "addLow = distance > 127 ? 0 : addHigh >> (distance - 64);",
  },
  {
    title: "an unboxed single is read as it is",
    file: "isa/fp.ts",
    from: "return bits >= BOX ? bits & 0xffffffff : canonicalNan<f32>();",
    to: "return bits & 0xffffffff;",
  },
  {
    title: "FEQ raises NV for quiet NaNs",
    file: "isa/softfloat-compare.ts",
    from: "if (isSignaling<T>(a) || isSignaling<T>(b)) raise(FLAG_NV);\n    return false;",
    to: "raise(FLAG_NV);\n    return false;",
  },
  {
    title: "host arithmetic is used before NX is set",
    file: "isa/fp.ts",
    from: "load<u32>(RUN, HART_FRM) == 0 && (load<u32>(RUN, HART_FFLAGS) & 1) != 0;",
    to: "load<u32>(RUN, HART_FRM) == 0;",
  },
  {
    title: "the lower of SEI and SSI is taken first",
    file: "hart/interrupt.ts",
    from: "if ((pending & MIP_SEIP) != 0) return 9;\n  if ((pending & MIP_SSIP) != 0) return 1;",
    to: "if ((pending & MIP_SSIP) != 0) return 1;\n  if ((pending & MIP_SEIP) != 0) return 9;",
  },
  {
    title: "a delegated trap forgets SPP",
    file: "hart/trap.ts",
    from: "mstatus |= stacked | ((<u64>priv) << MSTATUS_SPP_SHIFT);",
    to: "mstatus |= stacked;",
  },
  {
    title: "MRET leaves MPIE clear",
    file: "hart/trap.ts",
    from: "mstatus &= ~(MSTATUS_MIE | MSTATUS_MPP);\n  mstatus |= enable | MSTATUS_MPIE;",
    to: "mstatus &= ~(MSTATUS_MIE | MSTATUS_MPP | MSTATUS_MPIE);\n  mstatus |= enable;",
  },
  {
    title: "a write of fcsr does not make FS dirty",
    file: "hart/csr.ts",
    from: lines(
      "store<u64>(RUN, load<u64>(RUN, HART_MSTATUS) | MSTATUS_FS, HART_MSTATUS);",
      "  fpFastUpdate",
    ),
    to: "fpFastUpdate",
  },
  {
    title: "TSR does not stop an SRET",
    file: "isa/system.ts",
    from: "priv == PRIV_U || (priv == PRIV_S && (mstatus & MSTATUS_TSR) != 0)",
    to: "priv == PRIV_U",
  },
  {
    title: "S-mode reads user pages without SUM",
    file: "mmu/translate.ts",
    from: "(access == ACCESS_FETCH || (mstatus & MSTATUS_SUM) == 0)) return false;",
    to: "access == ACCESS_FETCH) return false;",
  },
  {
    title: "a misaligned superpage translates",
    file: "mmu/translate.ts",
    from: "!leafAllows(pte, access, priv, mstatus) || (next & span) != 0)",
    to: "!leafAllows(pte, access, priv, mstatus))",
  },
  {
    title: "reserved bits of an entry are ignored",
    file: "mmu/translate.ts",
    from: "(pte & PTE_RESERVED) != 0",
    to: "false",
  },
  {
    title: "a store does not set D",
    file: "mmu/translate.ts",
    from: "const wanted = PTE_A | (access == ACCESS_STORE ? PTE_D : 0);",
    to: "const wanted = PTE_A;",
  },
  {
    title: "a changed table entry leaves the write tag",
    file: "mmu/tlb.ts",
    from: lines(
      "store<u64>(at, tag);",
      "      store<u64>(at, tag, TLB_WRITE);",
      "    }",
      "    const instruction",
    ),
    to: "store<u64>(at, tag);\n    }\n    const instruction",
  },
  {
    title: "a store into the middle of decoded code is missed",
    file: "memory/door.ts",
    from: "let isHit = stores > STORES_MAX;",
    to: "let isHit = false;\n  if (bytes == 2) return;",
  },
  {
    title: "the fault of a load's second page reports the first address",
    file: "hart/slow.ts",
    from: lines(
      "va + first, bytes - first, ACCESS_LOAD);",
      "  if (outcome != 0) return undone(outcome);",
    ),
    to: lines(
      "va + first, bytes - first, ACCESS_LOAD);",
      "  if (outcome != 0) {",
      "    store<u64>(RUN, va, HART_TRAP_VALUE);",
      "    return undone(outcome);",
      "  }",
    ),
  },
  {
    title: "a PMP entry that covers part of an access allows it",
    file: "mmu/pmp.ts",
    from: "if (match == MATCH_PART) return false;",
    to: "if (match == MATCH_PART) continue;",
  },
];

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** The mutation with that title. */
export function mutationNamed(title: string): Mutation {
  const found = MUTATIONS.find((mutation) => mutation.title === title);
  if (found === undefined) throw new Error(`no mutation has the title "${title}"`);
  return found;
}

/** Finds `from` however it is broken into lines. */
export function finderOf({ from }: Pick<Mutation, "from">): RegExp {
  const tokens = from.match(/\w+|[^\w\s]/g) ?? [];
  const escaped = tokens.map((token) => token.replace(/[^\w]/g, "\\$&"));
  return new RegExp(escaped.join("\\s*").replaceAll("\\)", ",?\\s*\\)"));
}

/** True when the mutation can be planted: its source is as it was. */
export function fitsSource(mutation: Mutation): boolean {
  const source = readFileSync(join(ROOT, "assembly", mutation.file), "utf8");
  return finderOf(mutation).test(source);
}

function plant(folder: string, mutation: Mutation): void {
  const path = join(folder, "assembly", mutation.file);
  const source = readFileSync(path, "utf8");
  if (!finderOf(mutation).test(source)) {
    throw new Error(`mutation "${mutation.title}" no longer fits ${mutation.file}`);
  }
  writeFileSync(
    path,
    source.replace(finderOf(mutation), () => mutation.to),
  );
}

/**
 * Builds machine.wasm, or the module of another configuration, without optimisation, from a copy of
 * assembly/ with one bug.
 */
export function buildMutant(mutation: Mutation, configName = "asconfig.json"): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-mutant-"));
  try {
    cpSync(join(ROOT, "assembly"), join(folder, "assembly"), { recursive: true });
    plant(folder, mutation);
    const { entries, options } = JSON.parse(readFileSync(join(ROOT, configName), "utf8"));
    const config = {
      entries,
      targets: { mutant: { outFile: "mutant.wasm", optimizeLevel: 0, noAssert: true } },
      options,
    };
    writeFileSync(join(folder, "asconfig.json"), JSON.stringify(config));
    const compiler = join(ROOT, "node_modules/assemblyscript/bin/asc.js");
    const built = spawnSync(process.execPath, [compiler, "--target", "mutant"], { cwd: folder });
    if (built.status !== 0) throw new Error(`"${mutation.title}": ${built.stderr}${built.stdout}`);
    return readFileSync(join(folder, "mutant.wasm"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
