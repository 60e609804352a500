/**
 * translate: from a hart's virtual address to guest physical, as its page tables say now, without
 * the side effects of a walk by the hart: no A or D bit is set, nothing is cached.
 *
 * Used by debugger.ts.
 * Holds   independent of assembly/mmu/translate.ts, whose answers tests compare with these. PMP has
 *         no say: it guards accesses, and a debugger makes none.
 */
import { HART_MSTATUS, HART_SATP } from "../../assembly/layout.ts";
import { type HartView, PRIV_M, PRIV_S, PRIV_U } from "../core/hart-view.ts";
import type { MemoryView } from "../core/memory-view.ts";

/** Names of satp.MODE. */
export type TranslationMode = "bare" | "sv39" | "sv48" | "sv57";

/** What an access wants; a debugger's wants nothing and is refused nothing. */
export type AccessKind = "read" | "write" | "execute";

/** One page-table entry on the way. */
export interface WalkStep {
  /** From the root's number down to 0. */
  readonly level: number;
  /** Guest physical address of the entry. */
  readonly address: bigint;
  readonly entry: bigint;
}

/** What a leaf entry allows and says. */
export interface PageRights {
  readonly isReadable: boolean;
  readonly isWritable: boolean;
  readonly isExecutable: boolean;
  readonly isUser: boolean;
  readonly isGlobal: boolean;
  readonly isAccessed: boolean;
  readonly isDirty: boolean;
}

/** Where an address leads. */
export interface Translation {
  readonly virtual: bigint;
  readonly mode: TranslationMode;
  /** Null when it leads nowhere: `fault` says why. */
  readonly physical: bigint | null;
  readonly fault: string | null;
  /** Size of the page that the leaf maps; null without paging. */
  readonly pageBytes: number | null;
  readonly rights: PageRights | null;
  readonly steps: readonly WalkStep[];
}

// Privileged 4.3.1 and 4.4.1: fields of a page-table entry.
const VALID = 1n;
const READ = 2n;
const WRITE = 4n;
const EXECUTE = 8n;
const USER = 16n;
const GLOBAL = 32n;
const ACCESSED = 64n;
const DIRTY = 128n;
const RESERVED = 0xffc0_0000_0000_0000n;
const PPN = 0x003f_ffff_ffff_fc00n;
const MSTATUS_SUM = 1n << 18n;
const MSTATUS_MXR = 1n << 19n;
const MODES: Record<string, TranslationMode> = { "8": "sv39", "9": "sv48", "10": "sv57" };
const LEVELS = { sv39: 3, sv48: 4, sv57: 5 } as const;

/** How the hart sees memory in its present mode. */
export function translationMode(hart: HartView): TranslationMode {
  if (hart.privilege === PRIV_M) return "bare";
  return MODES[String(hart.get64(HART_SATP) >> 60n)] ?? "bare";
}

function rightsOf(entry: bigint): PageRights {
  const has = (bit: bigint) => (entry & bit) !== 0n;
  return {
    isReadable: has(READ),
    isWritable: has(WRITE),
    isExecutable: has(EXECUTE),
    isUser: has(USER),
    isGlobal: has(GLOBAL),
    isAccessed: has(ACCESSED),
    isDirty: has(DIRTY),
  };
}

/** Why the hart's present mode may not make an access, or null. Privileged 4.3.2 steps 5 to 7. */
function refusal(hart: HartView, rights: PageRights, access: AccessKind): string | null {
  const mstatus = hart.get64(HART_MSTATUS);
  const isSupervisor = hart.privilege === PRIV_S;
  if (!rights.isUser && hart.privilege === PRIV_U) return "a page of S-mode";
  if (rights.isUser && isSupervisor && (access === "execute" || (mstatus & MSTATUS_SUM) === 0n)) {
    return "a page of U-mode";
  }
  const canRead = rights.isReadable || ((mstatus & MSTATUS_MXR) !== 0n && rights.isExecutable);
  const { isWritable, isExecutable } = rights;
  const mayGo = { read: canRead, write: isWritable, execute: isExecutable }[access];
  return mayGo ? null : `no right to ${access}`;
}

/** Why an entry is none, or null; Privileged 4.3.2 steps 3 and 4. */
function entryFault(entry: bigint, isPointer: boolean): string | null {
  if ((entry & VALID) === 0n) return "an entry that is not valid";
  if ((entry & (READ | WRITE)) === WRITE) return "an entry writable but not readable";
  if ((entry & RESERVED) !== 0n) return "an entry with reserved bits";
  const isMarked = (entry & (ACCESSED | DIRTY | USER)) !== 0n;
  return isPointer && isMarked ? "a pointer with reserved bits" : null;
}

/**
 * Walks the page tables of a hart in its present mode. With `access`, rights of the leaf count as
 * they do for the hart; without, only whether the page is there.
 */
export function translate(
  hart: HartView,
  memory: MemoryView,
  virtual: bigint,
  access?: AccessKind,
): Translation {
  const mode = translationMode(hart);
  const none = { virtual, mode, pageBytes: null, rights: null };
  if (mode === "bare") return { ...none, physical: virtual, fault: null, steps: [] };
  const steps: WalkStep[] = [];
  const fail = (fault: string): Translation => ({ ...none, physical: null, fault, steps });
  const bits = 12 + 9 * LEVELS[mode];
  if (BigInt.asUintN(64, BigInt.asIntN(bits, virtual)) !== virtual) {
    return fail(`not an address of ${mode}: bits 63 to ${bits} differ from bit ${bits - 1}`);
  }
  let table = (hart.get64(HART_SATP) & 0xfff_ffff_ffffn) << 12n;
  for (let level = LEVELS[mode] - 1; level >= 0; level--) {
    const shift = BigInt(12 + 9 * level);
    const address = table + (((virtual >> shift) & 511n) << 3n);
    const entry = memory.readU64(Number(address));
    if (entry === null) {
      return fail(memory.isAbsent ? "a page table not in memory yet" : "a page table outside RAM");
    }
    steps.push({ level, address, entry });
    const isPointer = (entry & (READ | EXECUTE)) === 0n;
    const wrong = entryFault(entry, isPointer);
    if (wrong !== null) return fail(wrong);
    const next = (entry & PPN) << 2n;
    if (isPointer) {
      table = next;
      continue;
    }
    const span = (1n << shift) - 1n;
    if ((next & span) !== 0n) return fail("a large page that is not aligned");
    const rights = rightsOf(entry);
    const refused = access === undefined ? null : refusal(hart, rights, access);
    const physical = refused === null ? next | (virtual & span) : null;
    return { virtual, mode, physical, fault: refused, pageBytes: Number(span) + 1, rights, steps };
  }
  return fail("a pointer at the last level");
}
