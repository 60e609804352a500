/**
 * blocks: a machine's part of the core (harts, CLINT, counters; not its pages) as bytes, and back.
 *
 * Used by machine/capture.ts: the section "core" of a snapshot.
 * Holds   what is read back may come from anywhere: every field is one that the guest could have
 *         made, or VmError "bad-section" and nothing has changed.
 *
 *   u32  harts │ RAM pages │ quantum │ turn │ SBI │ deepest satp mode │ clock │ half HTIF command
 *   u64  slots │ retired │ idle ticks │ tohost │ ticks
 *   then each hart's block, HART_DIGEST_BYTES bytes as layout.ts draws them; all little-endian
 */
import {
  BARREN_MAX,
  HART_BARREN,
  HART_DIGEST_BYTES,
  HART_EXTERNAL,
  HART_FFLAGS,
  HART_FRM,
  HART_HSM,
  HART_ID,
  HART_MCOUNTEREN,
  HART_MCOUNTINHIBIT,
  HART_MEDELEG,
  HART_MENVCFG,
  HART_MEPC,
  HART_MIDELEG,
  HART_MIE,
  HART_MIP_SOFT,
  HART_MSIP,
  HART_MSTATUS,
  HART_MTVEC,
  HART_PC,
  HART_PMPADDR,
  HART_PMPCFG,
  HART_PRIV,
  HART_QUANTUM_POSITION,
  HART_SATP,
  HART_SCOUNTEREN,
  HART_SENVCFG,
  HART_SEPC,
  HART_STVEC,
  HART_WAITING,
  HART_X,
  MACHINE_CLOCK,
  MACHINE_HARTS,
  MACHINE_HTIF_HALF,
  MACHINE_IDLE_TICKS,
  MACHINE_QUANTUM,
  MACHINE_RAM_PAGES,
  MACHINE_RETIRED,
  MACHINE_SATP_MAX,
  MACHINE_SBI,
  MACHINE_SLOTS,
  MACHINE_TOHOST,
  MACHINE_TURN,
} from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";
import type { MachineView } from "./machine-view.ts";

const FIELDS_32 = [
  MACHINE_HARTS,
  MACHINE_RAM_PAGES,
  MACHINE_QUANTUM,
  MACHINE_TURN,
  MACHINE_SBI,
  MACHINE_SATP_MAX,
  MACHINE_CLOCK,
  MACHINE_HTIF_HALF,
] as const;
const FIELDS_64 = [MACHINE_SLOTS, MACHINE_RETIRED, MACHINE_IDLE_TICKS, MACHINE_TOHOST] as const;
/** Those that a machine is made with: they must be the same. */
const FIXED = [MACHINE_HARTS, MACHINE_RAM_PAGES, MACHINE_QUANTUM, MACHINE_SATP_MAX];
const TICKS_AT = FIELDS_32.length * 4 + FIELDS_64.length * 8;
const HEAD_BYTES = TICKS_AT + 8;
const TWO_32 = 0x1_0000_0000;

/** Bits that a CSR of 64 bits may have (assembly/hart/csr.ts keeps the others out). */
const MASKS = [
  ["pc", HART_PC, ~1n],
  ["mepc", HART_MEPC, ~1n],
  ["sepc", HART_SEPC, ~1n],
  ["mtvec", HART_MTVEC, ~2n],
  ["stvec", HART_STVEC, ~2n],
  ["mstatus", HART_MSTATUS, 0x8000_000a_007e_79aan],
  ["medeleg", HART_MEDELEG, 0xb3ffn],
  ["mideleg", HART_MIDELEG, 0x222n],
  ["mie", HART_MIE, 0xaaan],
  ["mip", HART_MIP_SOFT, 0x222n],
  ["mcounteren", HART_MCOUNTEREN, 0xffff_ffffn],
  ["scounteren", HART_SCOUNTEREN, 0xffff_ffffn],
  ["mcountinhibit", HART_MCOUNTINHIBIT, 5n],
  ["menvcfg", HART_MENVCFG, 0xa000_0000_0000_0081n],
  ["senvcfg", HART_SENVCFG, 0x81n],
  ["x0", HART_X, 0n],
] as const;
/** The others, which must be 0. */
const NEVER = MASKS.map(([name, offset, mask]) => {
  return { name, offset, bits: BigInt.asUintN(64, ~mask) };
});
/** Fields of 32 bits and the most that they hold. */
const MOST: readonly (readonly [name: string, offset: number, most: number])[] = [
  ["fflags", HART_FFLAGS, 31],
  ["frm", HART_FRM, 7],
  ["waiting", HART_WAITING, 1],
  ["HSM state", HART_HSM, 3],
  ["msip", HART_MSIP, 1],
  ["trap count", HART_BARREN, BARREN_MAX],
];
const EXTERNAL_MASK = 0xa00;
const PMP_ENTRIES = 16;
const PMP_CONFIG_MASK = 0x9f;
const PMP_ADDRESS_MAX = 2n ** 54n - 1n;
const SATP_USED = 0xf000_0fff_ffff_ffffn;
const MODE_SV39 = 8n;

function refuse(what: string): never {
  throw new VmError("bad-section", `section of core ${what}`);
}

/** The harts and the machine's own fields as bytes. */
export function saveBlocks(view: MachineView): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + view.harts.length * HART_DIGEST_BYTES);
  const data = new DataView(bytes.buffer);
  for (const [at, field] of FIELDS_32.entries()) data.setUint32(at * 4, view.get32(field), true);
  for (const [at, field] of FIELDS_64.entries()) {
    data.setBigUint64(FIELDS_32.length * 4 + at * 8, view.get64(field), true);
  }
  data.setBigUint64(TICKS_AT, BigInt(view.ticks), true);
  for (const [at, hart] of view.harts.entries()) {
    bytes.set(hart.stateBytes(), HEAD_BYTES + at * HART_DIGEST_BYTES);
  }
  return bytes;
}

/** Machine time in the bytes that saveBlocks gave, in ticks. */
export function ticksOfBlocks(bytes: Uint8Array): number {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return data.getUint32(TICKS_AT + 4, true) * TWO_32 + data.getUint32(TICKS_AT, true);
}

function checkHart(data: DataView, at: number, index: number, view: MachineView): void {
  const name = `hart ${index}`;
  const u32 = (offset: number) => data.getUint32(at + offset, true);
  const u64 = (offset: number) => data.getBigUint64(at + offset, true);
  if (u32(HART_ID) !== index) refuse(`has hart ${u32(HART_ID)} in the place of ${name}`);
  if (![0, 1, 3].includes(u32(HART_PRIV))) refuse(`has ${name} in mode ${u32(HART_PRIV)}`);
  for (const { name: what, offset, bits } of NEVER) {
    const value = u64(offset);
    if ((value & bits) !== 0n) refuse(`has ${what} ${value} on ${name}`);
  }
  for (const [what, offset, most] of MOST) {
    if (u32(offset) > most) refuse(`has ${what} ${u32(offset)} on ${name}`);
  }
  if ((u64(HART_MSTATUS) & 0x1800n) === 0x1000n) refuse(`has MPP 2 on ${name}`);
  if ((u32(HART_EXTERNAL) & ~EXTERNAL_MASK) !== 0) refuse(`has other lines on ${name}`);
  if (u32(HART_QUANTUM_POSITION) > view.get32(MACHINE_QUANTUM)) {
    refuse(`has ${name} beyond its turn`);
  }
  const satp = u64(HART_SATP);
  const mode = satp >> 60n;
  const isMode = mode === 0n || (mode >= MODE_SV39 && mode <= view.get32(MACHINE_SATP_MAX));
  if (!isMode || (satp & ~SATP_USED) !== 0n) refuse(`has satp ${satp} on ${name}`);
  for (let entry = 0; entry < PMP_ENTRIES; entry++) {
    const config = data.getUint8(at + HART_PMPCFG + entry);
    const isLegal = (config & ~PMP_CONFIG_MASK) === 0 && (config & 3) !== 2;
    if (!isLegal || u64(HART_PMPADDR + entry * 8) > PMP_ADDRESS_MAX) {
      refuse(`has an impossible PMP entry ${entry} on ${name}`);
    }
  }
}

function check(view: MachineView, bytes: Uint8Array): DataView {
  const wanted = HEAD_BYTES + view.harts.length * HART_DIGEST_BYTES;
  if (bytes.length !== wanted) refuse(`has ${bytes.length} bytes where ${wanted} are due`);
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const value = (field: (typeof FIELDS_32)[number]) =>
    data.getUint32(FIELDS_32.indexOf(field) * 4, true);
  for (const field of FIXED) {
    const at = FIELDS_32.indexOf(field as (typeof FIELDS_32)[number]) * 4;
    const given = data.getUint32(at, true);
    if (given !== view.get32(field)) {
      refuse(`is of another machine: ${given} where this one has ${view.get32(field)}`);
    }
  }
  if (value(MACHINE_TURN) >= view.harts.length) refuse(`has the turn of no hart`);
  if (value(MACHINE_SBI) > 1) refuse(`has SBI ${value(MACHINE_SBI)}`);
  if (value(MACHINE_CLOCK) > 1) refuse(`has clock ${value(MACHINE_CLOCK)}`);
  if (value(MACHINE_HTIF_HALF) > view.harts.length + 1) refuse(`has an HTIF command of many turns`);
  for (let at = FIELDS_32.length * 4; at < HEAD_BYTES; at += 8) {
    if (data.getBigUint64(at, true) > BigInt(Number.MAX_SAFE_INTEGER)) refuse(`counts too far`);
  }
  for (let index = 0; index < view.harts.length; index++) {
    checkHart(data, HEAD_BYTES + index * HART_DIGEST_BYTES, index, view);
  }
  return data;
}

/**
 * Puts back what saveBlocks gave, in a machine of the same shape; machine time under the host's
 * clock is the clock's business. Throws "bad-section", and nothing has changed.
 */
export function restoreBlocks(view: MachineView, bytes: Uint8Array): void {
  const data = check(view, bytes);
  for (const [at, field] of FIELDS_32.entries()) view.set32(field, data.getUint32(at * 4, true));
  for (const [at, field] of FIELDS_64.entries()) {
    view.set64(field, data.getBigUint64(FIELDS_32.length * 4 + at * 8, true));
  }
  for (const [index, hart] of view.harts.entries()) {
    const at = HEAD_BYTES + index * HART_DIGEST_BYTES;
    hart.stateBytes().set(bytes.subarray(at, at + HART_DIGEST_BYTES));
  }
  view.sync();
}

/** What saveBlocks wrote, field by field, as a digest needs it. */
export interface BlockFields {
  readonly words: readonly number[];
  readonly counts: readonly number[];
  readonly harts: readonly Uint8Array[];
}

/** Reads what saveBlocks gave, of a machine that is known: nothing is checked. */
export function fieldsOfBlocks(bytes: Uint8Array): BlockFields {
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = FIELDS_32.map((_, at) => data.getUint32(at * 4, true));
  const counts = FIELDS_64.map((_, at) =>
    Number(data.getBigUint64(FIELDS_32.length * 4 + at * 8, true)),
  );
  const harts: Uint8Array[] = [];
  for (let at = HEAD_BYTES; at < bytes.length; at += HART_DIGEST_BYTES) {
    harts.push(bytes.subarray(at, at + HART_DIGEST_BYTES));
  }
  return { words, counts, harts };
}
