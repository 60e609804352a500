/**
 * facts: what a snapshot says of its machine beside the machine's own sections: its shape, the wall
 * time, how its disks are held, what its maker wanted back.
 *
 * Owns    section "snapshot", version 1: JSON in UTF-8.
 * Used by make.ts, which writes it; back.ts, which reads it.
 * Holds   it may come from anywhere: it is checked before anything of it is used.
 */
import { z } from "zod";
import type { DeviceSection } from "../device/contract.ts";
import { VmError } from "../errors.ts";
import type { MachineShapeFacts } from "../machine/capture.ts";
import { MACHINE_LIMITS } from "../machine/config.ts";

/** Name of the section. */
export const FACTS = "snapshot";
const VERSION = 1;
const BYTES_MAX = 1 << 20;
const DEVICES_MAX = 1024;

const text = z.string().max(256);
const count = z.number().int().nonnegative();

const Shape = z.object({
  ramBytes: count.min(MACHINE_LIMITS.memoryBytesMin).max(MACHINE_LIMITS.memoryBytesMax),
  harts: count.min(1).max(MACHINE_LIMITS.harts),
  quantum: count,
  mmu: z.enum(["sv39", "sv48", "sv57"]),
  clock: z.enum(["virtual", "host"]),
  epochMs: count,
  consoleDevice: z.enum(["uart", "virtio"]),
  agent: z.boolean(),
  devices: z.array(z.object({ kind: text, name: text })).max(DEVICES_MAX),
  customDevices: z
    .array(z.object({ kind: text, name: text, base: count, irq: count }))
    .max(MACHINE_LIMITS.customDevices),
  disks: z.array(z.object({ bytes: count, isReadOnly: z.boolean() })).max(MACHINE_LIMITS.disks),
});

const Facts = z.object({
  shape: Shape,
  wallMs: z.number().finite(),
  wholeDisks: z.array(z.boolean()).max(MACHINE_LIMITS.disks),
  origin: z.unknown(),
});

/** What a snapshot says of its machine. */
export interface SnapshotFacts {
  readonly shape: MachineShapeFacts;
  /** Of the host at that moment, ms since 1970. */
  readonly wallMs: number;
  /** By slot: all of the disk is in the snapshot; else what was written over a disk given again. */
  readonly wholeDisks: readonly boolean[];
  /** What its maker wanted back. */
  readonly origin: unknown;
}

/** The section. */
export function saveFacts(facts: SnapshotFacts): DeviceSection {
  const bytes = new TextEncoder().encode(JSON.stringify(facts));
  return { name: FACTS, version: VERSION, bytes };
}

function refuse(why: string): never {
  throw new VmError("bad-section", `section "${FACTS}" ${why}`);
}

/** The facts, and the sections that are the machine's. Throws "bad-section". */
export function readFacts(sections: readonly DeviceSection[]): {
  facts: SnapshotFacts;
  own: DeviceSection[];
} {
  const section = sections.find(({ name }) => name === FACTS);
  if (section === undefined) refuse("is missing");
  const { version, bytes } = section;
  if (version !== VERSION) refuse(`has version ${version}; accepted is ${VERSION}`);
  if (bytes.length > BYTES_MAX) refuse(`has ${bytes.length} bytes; accepted are ${BYTES_MAX}`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    refuse("is not JSON");
  }
  const checked = Facts.safeParse(json);
  if (!checked.success) refuse(`is wrong: ${z.prettifyError(checked.error)}`);
  const { shape, wholeDisks } = checked.data;
  if (wholeDisks.length !== shape.disks.length) refuse("does not agree about its disks");
  return { facts: checked.data, own: sections.filter((one) => one !== section) };
}
