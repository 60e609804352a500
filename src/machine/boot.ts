/**
 * boot: decides what lies where in guest memory and how the harts begin.
 *
 * Owns    the placement. Used by machine.ts, at boot and at every reboot.
 * Holds   nothing overlaps, everything lies in RAM, and what does not fit is refused with sizes and
 *         addresses.
 *
 *   0x80000000 firmware or ELF │ 0x80200000 kernel … │ … initrd │ device tree, 64 KiB to grow │ info page │ end
 *
 *   way in       enters                     a0      a1    a2
 *   Image        S-mode at the kernel, SBI  hart    dtb   -
 *   ELF64        M-mode at its entry        hart    dtb   -
 *   firmware     M-mode at 0x80000000       hart    dtb   fw_dynamic_info, which names the kernel
 */
import {
  FRAME_BYTES,
  HART_MCOUNTEREN,
  HART_MEDELEG,
  HART_MENVCFG,
  HART_MIDELEG,
  HART_MSTATUS,
  HART_PMPADDR,
  HART_PMPCFG,
  HART_SCOUNTEREN,
} from "../../assembly/layout.ts";
import { HSM_STARTED, HSM_STOPPED, PRIV_M, PRIV_S } from "../core/hart-view.ts";
import type { MachineView } from "../core/machine-view.ts";
import { RAM_BASE } from "../core/memory-view.ts";
import { VmError } from "../errors.ts";
import type { ResolvedConfig } from "./config.ts";
import { type ElfProgram, isElf, parseElf } from "./elf.ts";
import type { HtifSymbols } from "./htif.ts";
import { gunzipLimited, isGzip, parseImage } from "./image.ts";

/** Bytes and the guest physical address where they go. */
export interface Load {
  readonly what: string;
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Memory taken, at least bytes.length. */
  readonly memoryBytes: number;
}

/** How the harts begin. */
export interface BootPlan {
  readonly loads: readonly Load[];
  readonly entry: number;
  /**
   * True: S-mode with built-in SBI, the other harts stopped. False: M-mode, every hart at the
   * entry.
   */
  readonly hasSbi: boolean;
  readonly treeAddress: number;
  readonly tree: Uint8Array;
  /** fw_dynamic_info, or 0. */
  readonly infoAddress: number;
  readonly htif: HtifSymbols | null;
}

/** What the device tree is told about the placement. */
export interface TreeFacts {
  readonly initrdStart: number;
  readonly initrdEnd: number;
  /** True when this host sets up S-mode itself, so that its SBI and menvcfg hold. */
  readonly hasSbi: boolean;
  readonly hasFirmware: boolean;
}

const KERNEL_OFFSET = 0x20_0000;
/** Firmware grows the tree in place. */
const TREE_SLACK_BYTES = 65536;
const INFO_MAGIC = 0x4942534fn;
const INFO_VERSION = 2n;
const INFO_BYTES = 48;

const hex = (value: number) => `0x${value.toString(16)}`;
const pageDown = (address: number) => address - (address % FRAME_BYTES);
const endOf = (load: Load) => load.address + load.memoryBytes;

/** A kernel or firmware as pieces to load, and where it begins. */
interface Payload {
  readonly loads: readonly Load[];
  readonly entry: number;
  readonly program: ElfProgram | null;
}

function ramOf(config: ResolvedConfig): { start: number; end: number } {
  return { start: RAM_BASE, end: RAM_BASE + config.memoryBytes };
}

function elfPayload(what: string, bytes: Uint8Array, config: ResolvedConfig): Payload {
  const program = parseElf(bytes, ramOf(config));
  const loads = program.segments.map((segment) => ({ what, ...segment }));
  return { loads, entry: program.entry, program };
}

function kernelPayload(config: ResolvedConfig): Payload | null {
  if (config.kernel === null) return null;
  let file = config.kernel;
  if (isElf(file)) return elfPayload("kernel", file, config);
  if (isGzip(file)) {
    file = gunzipLimited(file, config.memoryBytes);
    if (isElf(file)) return elfPayload("kernel", file, config);
  }
  const image = parseImage(file, config.memoryBytes);
  const address = RAM_BASE + (config.firmware === null ? image.textOffset : KERNEL_OFFSET);
  if (address % KERNEL_OFFSET !== 0) {
    const text = `Image wants text_offset ${hex(image.textOffset)}`;
    throw new VmError("bad-file", `${text}: accepted are multiples of 2 MiB`);
  }
  const load = { what: "kernel", address, bytes: image.bytes, memoryBytes: image.memoryBytes };
  return { loads: [load], entry: address, program: null };
}

function firmwarePayload(config: ResolvedConfig): Payload | null {
  const { firmware } = config;
  if (firmware === null) return null;
  if (isElf(firmware)) return elfPayload("firmware", firmware, config);
  const load = {
    what: "firmware",
    address: RAM_BASE,
    bytes: firmware,
    memoryBytes: firmware.length,
  };
  return { loads: [load], entry: RAM_BASE, program: null };
}

function checkFit(loads: readonly Load[], config: ResolvedConfig): void {
  const ram = ramOf(config);
  const sorted = [...loads].sort((a, b) => a.address - b.address);
  sorted.forEach((load, index) => {
    const place = `${hex(load.address)} to ${hex(endOf(load))}`;
    if (load.address < ram.start || endOf(load) > ram.end) {
      const has = `RAM is ${hex(ram.start)} to ${hex(ram.end)}`;
      throw new VmError("bad-config", `${load.what} does not fit: it takes ${place}, ${has}`);
    }
    const next = sorted[index + 1];
    if (next !== undefined && endOf(load) > next.address) {
      const other = `${next.what} begins at ${hex(next.address)}`;
      throw new VmError("bad-config", `${load.what} does not fit: it takes ${place}, ${other}`);
    }
  });
}

/**
 * OpenSBI's fw_dynamic_info: magic, version, next address, next mode, options, boot hart; u64 each.
 */
function dynamicInfo(next: number): Uint8Array {
  const words = [INFO_MAGIC, INFO_VERSION, BigInt(next), BigInt(PRIV_S), 0n, 0n];
  const bytes = new Uint8Array(INFO_BYTES);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => {
    view.setBigUint64(index * 8, word, true);
  });
  return bytes;
}

function htifOf(config: ResolvedConfig, program: ElfProgram | null): HtifSymbols | null {
  if (!config.htif) return null;
  const tohost = program?.symbols.get("tohost");
  if (tohost === undefined) {
    throw new VmError("bad-config", "htif: accepted are ELF files with a symbol tohost");
  }
  if (tohost % 8 !== 0 || tohost < RAM_BASE || tohost + 8 > RAM_BASE + config.memoryBytes) {
    throw new VmError("bad-config", `htif: tohost ${hex(tohost)} is no doubleword in RAM`);
  }
  return { tohost, fromhost: program?.symbols.get("fromhost") ?? 0 };
}

/**
 * Places everything. `buildTree` is called twice with the same sizes: the place of the initrd
 * depends on the length of the tree, which names that place. Throws "bad-config" or "bad-file".
 */
export function planBoot(
  config: ResolvedConfig,
  buildTree: (facts: TreeFacts) => Uint8Array,
): BootPlan {
  const kernel = kernelPayload(config);
  const firmware = firmwarePayload(config);
  const first = firmware ?? kernel;
  if (first === null) throw new VmError("bad-config", "nothing to boot: give a kernel or firmware");
  const hasFirmware = firmware !== null;
  const hasSbi = !hasFirmware && kernel?.program === null;
  const end = RAM_BASE + config.memoryBytes;
  const infoAddress = end - FRAME_BYTES;
  const draft = buildTree({
    initrdStart: RAM_BASE,
    initrdEnd: RAM_BASE,
    hasSbi,
    hasFirmware,
  });
  const treeBytes = draft.length + TREE_SLACK_BYTES;
  const treeAddress = pageDown(infoAddress - treeBytes);
  const initrdBytes = config.initrd?.length ?? 0;
  const initrdStart = pageDown(treeAddress - initrdBytes);
  const initrdEnd = initrdStart + initrdBytes;
  const tree = buildTree({ initrdStart, initrdEnd, hasSbi, hasFirmware });
  const loads: Load[] = [...(firmware?.loads ?? []), ...(kernel?.loads ?? [])];
  loads.push({ what: "device tree", address: treeAddress, bytes: tree, memoryBytes: treeBytes });
  if (config.initrd !== null) {
    const bytes = config.initrd;
    loads.push({ what: "initrd", address: initrdStart, bytes, memoryBytes: bytes.length });
  }
  if (firmware !== null) {
    const bytes = dynamicInfo(kernel?.entry ?? 0);
    loads.push({ what: "info", address: infoAddress, bytes, memoryBytes: bytes.length });
  }
  checkFit(loads, config);
  return {
    loads,
    entry: first.entry,
    hasSbi,
    treeAddress,
    tree,
    infoAddress: firmware === null ? 0 : infoAddress,
    htif: htifOf(config, kernel?.program ?? null),
  };
}

/**
 * Every exception but the supervisor's own ECALL: there is no M-mode code that could handle one.
 */
const MEDELEG = 0xb1ffn;
/** SSI, STI, SEI. */
const MIDELEG = 0x222n;
/** cycle, time and instret readable below. */
const COUNTERS = 0x7n;
/** Sstc, hardware A and D bits, cbo.zero. */
const MENVCFG = (1n << 63n) | (1n << 61n) | (1n << 7n);
const MSTATUS_FS_INITIAL = 0x2000n;
/** Entry 0, NAPOT over everything, R W X. */
const PMP_ALL_CONFIG = 0x1f;
const PMP_ALL_ADDRESS = (1n << 54n) - 1n;

/** What OpenSBI leaves behind when it enters the supervisor, on every hart. */
function enterSupervisor(view: MachineView): void {
  for (const hart of view.harts) {
    hart.privilege = PRIV_S;
    hart.set64(HART_MEDELEG, MEDELEG);
    hart.set64(HART_MIDELEG, MIDELEG);
    hart.set64(HART_MCOUNTEREN, COUNTERS);
    hart.set64(HART_SCOUNTEREN, COUNTERS);
    hart.set64(HART_MENVCFG, MENVCFG);
    hart.set64(HART_MSTATUS, hart.get64(HART_MSTATUS) | MSTATUS_FS_INITIAL);
    hart.set8(HART_PMPCFG, PMP_ALL_CONFIG);
    hart.set64(HART_PMPADDR, PMP_ALL_ADDRESS);
    hart.hsm = hart.id === 0 ? HSM_STARTED : HSM_STOPPED;
  }
}

/**
 * Sets the harts of a freshly reset machine on their way; what the plan loads is in memory already.
 */
export function enterBoot(view: MachineView, plan: BootPlan): void {
  for (const hart of view.harts) {
    hart.pc = BigInt(plan.entry);
    hart.privilege = PRIV_M;
    hart.setX(10, BigInt(hart.id));
    hart.setX(11, BigInt(plan.treeAddress));
    hart.setX(12, BigInt(plan.infoAddress));
  }
  if (plan.hasSbi) enterSupervisor(view);
  view.hasSbi = plan.hasSbi;
  view.tohost = plan.htif?.tohost ?? 0;
  view.sync();
}
