/**
 * config: what a machine is made of, checked once; everything behind it trusts the numbers.
 *
 * Owns    the defaults. Used by host.ts, boot.ts, machine-tree.ts.
 * Holds   a refused value is named together with what would have been accepted.
 */
import { FRAME_BYTES, HARTS_MAX, RAM_PAGES_MAX } from "../../assembly/layout.ts";
import type { BlockBackend } from "../device/block/contract.ts";
import {
  CUSTOM_DEVICES_MAX,
  type CustomDevice,
  type DeviceFactory,
  type DeviceRequest,
  placeDevices,
} from "../device/custom.ts";
import { VIRTIO_SLOTS } from "../device/virtio/transport.ts";
import { VmError } from "../errors.ts";

/** Guest time: counted from instructions, or following the host's clock. */
export type ClockKind = "virtual" | "host";
/** Which device console input goes to; output of both is shown. */
export type ConsoleDevice = "uart" | "virtio";
/** Deepest page-table format: satp takes no deeper mode, and the device tree says so. */
export type MmuKind = "sv39" | "sv48" | "sv57";

/** What the caller of `host.createMachine` says; everything has a default. */
export interface MachineConfig {
  /** For messages and events. */
  readonly name?: string;
  /** RAM: bytes, or a number with K, M or G. Default "256M". */
  readonly memoryBytes?: number | string;
  /** 1 to 8. */
  readonly harts?: number;
  /** Instruction slots a hart keeps its turn, at least 32; part of the machine's identity. */
  readonly quantum?: number;
  readonly clock?: ClockKind;
  /** Everything random in a virtual-clock machine comes from it. */
  readonly seed?: number | bigint;
  /** Wall time at start under the virtual clock, in ms since 1970. */
  readonly epochMs?: number;
  /** A Linux Image (plain, gzip, EFI zboot), or an ELF64. */
  readonly kernel?: Uint8Array;
  readonly initrd?: Uint8Array;
  /** M-mode firmware: a raw binary for 0x80000000, or an ELF64. */
  readonly firmware?: Uint8Array;
  /** Kernel command line. */
  readonly append?: string;
  /** Disks in slot order. */
  readonly disks?: readonly BlockBackend[];
  /** Devices of kinds given to `host.registerDevice`. */
  readonly devices?: readonly DeviceRequest[];
  /** Serve tohost and fromhost of the ELF. */
  readonly htif?: boolean;
  readonly mmu?: MmuKind;
  /** A reboot request ends the run instead. */
  readonly noReboot?: boolean;
  /** Take every frame of RAM at boot, so that memory cannot run out later. */
  readonly reserve?: boolean;
  /**
   * "open": an idle machine waits for input instead of racing through virtual time. Default
   * "closed".
   */
  readonly consoleInput?: "open" | "closed";
  /** "virtio" adds a virtio console (Linux's hvc0), which then gets the input. Default "uart". */
  readonly consoleDevice?: ConsoleDevice;
  /**
   * Adds a virtio port by which an agent in the guest serves `exec`; the Debian guest has one.
   * Default false.
   */
  readonly agent?: boolean;
}

/** A checked configuration. */
export interface ResolvedConfig {
  readonly name: string;
  readonly memoryBytes: number;
  readonly ramPages: number;
  readonly harts: number;
  readonly quantum: number;
  readonly clock: ClockKind;
  readonly seed: bigint;
  readonly epochMs: number;
  readonly kernel: Uint8Array | null;
  readonly initrd: Uint8Array | null;
  readonly firmware: Uint8Array | null;
  readonly append: string;
  readonly disks: readonly BlockBackend[];
  readonly devices: readonly CustomDevice[];
  readonly consoleDevice: ConsoleDevice;
  readonly agent: boolean;
  readonly htif: boolean;
  readonly mmu: MmuKind;
  readonly noReboot: boolean;
  readonly reserve: boolean;
  readonly consoleInput: "open" | "closed";
}

/** What the host has to offer. */
export interface ConfigLimits {
  /** Guest memory that the frame pool can hold. */
  readonly poolBytes: number;
  /** Kinds of device that an embedder registered. */
  readonly deviceKinds: ReadonlyMap<string, DeviceFactory>;
}

const MEBIBYTE = 1024 * 1024;
const MEMORY_BYTES_MIN = MEBIBYTE;
const MEMORY_BYTES_MAX = RAM_PAGES_MAX * FRAME_BYTES;
const QUANTUM_DEFAULT = 10_000;
/**
 * A turn's end breaks reservations: an LR/SC loop of 16 instructions, which must get through
 * (Unprivileged "A"), needs room for two rounds.
 */
const QUANTUM_MIN = 32;
const QUANTUM_MAX = 100_000_000;
const APPEND_BYTES_MAX = 4096;
/** 1 January 2026, 00:00 UTC. */
const EPOCH_MS_DEFAULT = 1_767_225_600_000;
/** Slots, less one for the entropy source and one for a console. */
const DISKS_MAX = VIRTIO_SLOTS - 2;
/** What a machine may be made of, whatever its host has room for. */
export const MACHINE_LIMITS = {
  harts: HARTS_MAX,
  memoryBytesMin: MEMORY_BYTES_MIN,
  memoryBytesMax: MEMORY_BYTES_MAX,
  disks: DISKS_MAX,
  customDevices: CUSTOM_DEVICES_MAX,
  appendBytes: APPEND_BYTES_MAX - 1,
} as const;
const UNITS: Record<string, number> = { "": 1, K: 1024, M: MEBIBYTE, G: 1024 * MEBIBYTE };

function refuse(what: string, given: unknown, accepted: string): never {
  throw new VmError("bad-config", `${what} ${String(given)}: accepted are ${accepted}`);
}

/** Reads "256M", "1G", "65536K" or plain bytes. Throws "bad-config". */
export function parseBytes(given: number | string, what = "memory"): number {
  if (typeof given === "number") return given;
  const match = /^(\d+)([KMG]?)$/i.exec(given.trim());
  if (match === null) refuse(what, `"${given}"`, "a number of bytes, or one with K, M or G");
  return Number(match[1]) * UNITS[match[2].toUpperCase()];
}

function checkMemory(given: number | string | undefined, limits: ConfigLimits): number {
  const bytes = parseBytes(given ?? "256M");
  const most = Math.min(MEMORY_BYTES_MAX, limits.poolBytes - (limits.poolBytes % MEBIBYTE));
  const isUsable = Number.isSafeInteger(bytes) && bytes % FRAME_BYTES === 0;
  if (isUsable && bytes >= MEMORY_BYTES_MIN && bytes <= most) return bytes;
  const accepted = `multiples of ${FRAME_BYTES} bytes from 1M to ${most / MEBIBYTE}M`;
  refuse("memory", typeof given === "string" ? `"${given}"` : given, accepted);
}

function checkInteger(what: string, given: number, least: number, most: number): number {
  if (Number.isInteger(given) && given >= least && given <= most) return given;
  refuse(what, given, `integers from ${least} to ${most}`);
}

function checkChoice<T extends string>(what: string, given: T, choices: readonly T[]): T {
  if (choices.includes(given)) return given;
  refuse(what, `"${given}"`, choices.join(", "));
}

function checkBytes(what: string, given: Uint8Array | undefined): Uint8Array | null {
  if (given === undefined) return null;
  if (!(given instanceof Uint8Array)) refuse(what, typeof given, "bytes (a Uint8Array)");
  if (given.length === 0) refuse(what, "of 0 bytes", "files that are not empty");
  return given;
}

function checkAppend(given: string): string {
  const isText = !given.includes("\0") && new TextEncoder().encode(given).length < APPEND_BYTES_MAX;
  if (isText) return given;
  refuse("append", `of ${given.length} characters`, `up to ${APPEND_BYTES_MAX - 1} bytes, no NUL`);
}

function checkSeed(given: number | bigint): bigint {
  if (typeof given === "bigint" || Number.isSafeInteger(given)) {
    return BigInt.asUintN(64, BigInt(given));
  }
  refuse("seed", given, "integers");
}

/**
 * Checks a configuration and fills in the defaults. Throws "bad-config" naming the value and what
 * is accepted.
 */
export function resolveConfig(config: MachineConfig, limits: ConfigLimits): ResolvedConfig {
  const memoryBytes = checkMemory(config.memoryBytes, limits);
  const disks = config.disks ?? [];
  const agent = config.agent ?? false;
  const disksMax = DISKS_MAX - (agent ? 1 : 0);
  if (disks.length > disksMax) refuse("disks", disks.length, `up to ${disksMax} disks`);
  const kernel = checkBytes("kernel", config.kernel);
  const initrd = checkBytes("initrd", config.initrd);
  const firmware = checkBytes("firmware", config.firmware);
  if (initrd !== null && kernel === null) refuse("initrd", "without a kernel", "both or neither");
  return {
    name: config.name ?? "machine",
    memoryBytes,
    ramPages: memoryBytes / FRAME_BYTES,
    harts: checkInteger("harts", config.harts ?? 1, 1, HARTS_MAX),
    quantum: checkInteger("quantum", config.quantum ?? QUANTUM_DEFAULT, QUANTUM_MIN, QUANTUM_MAX),
    clock: checkChoice("clock", config.clock ?? "virtual", ["virtual", "host"]),
    seed: checkSeed(config.seed ?? 0),
    epochMs: checkInteger("epochMs", config.epochMs ?? EPOCH_MS_DEFAULT, 0, 8.64e15),
    kernel,
    initrd,
    firmware,
    append: checkAppend(config.append ?? ""),
    disks,
    devices: placeDevices(config.devices ?? [], limits.deviceKinds),
    htif: config.htif ?? false,
    mmu: checkChoice("mmu", config.mmu ?? "sv57", ["sv39", "sv48", "sv57"]),
    noReboot: config.noReboot ?? false,
    reserve: config.reserve ?? false,
    consoleDevice: checkChoice("consoleDevice", config.consoleDevice ?? "uart", ["uart", "virtio"]),
    agent,
    consoleInput: checkChoice("consoleInput", config.consoleInput ?? "closed", ["open", "closed"]),
  };
}
