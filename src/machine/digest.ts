/**
 * digest: one hash over everything a machine is: equal digests are equal machines.
 *
 * Used by machine.ts, and by every test of law 0.
 * Holds   what the host alone knows (counters, caches, the split of a budget) is not in it.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import {
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
import type { MachineView } from "../core/machine-view.ts";
import type { Device } from "../device/contract.ts";

const FIELDS_32 = [
  MACHINE_HARTS,
  MACHINE_RAM_PAGES,
  MACHINE_QUANTUM,
  MACHINE_TURN,
  MACHINE_SBI,
  MACHINE_SATP_MAX,
  MACHINE_CLOCK,
  MACHINE_HTIF_HALF,
];
const FIELDS_64 = [MACHINE_SLOTS, MACHINE_RETIRED, MACHINE_IDLE_TICKS, MACHINE_TOHOST];

/** What else is state: blocks the generator has given, each device's alarm. */
export interface DigestExtras {
  readonly entropyCounter: number;
  alarmOf(device: Device): number | null;
}

function numbers(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(values).buffer);
}

/** SHA-256 in hexadecimal of harts, machine, memory and devices. */
export function stateDigest(
  view: MachineView,
  devices: readonly Device[],
  extras: DigestExtras,
): string {
  const hash = sha256.create();
  for (const hart of view.harts) hash.update(hart.stateBytes());
  hash.update(numbers(FIELDS_32.map((field) => view.get32(field))));
  hash.update(numbers(FIELDS_64.map((field) => view.getNumber(field))));
  hash.update(view.digestPages());
  hash.update(numbers([extras.entropyCounter]));
  for (const device of devices) {
    const section = device.save();
    const name = new TextEncoder().encode(section.name);
    const alarm = extras.alarmOf(device) ?? -1;
    hash.update(numbers([name.length, section.version, section.bytes.length, alarm]));
    hash.update(name);
    hash.update(section.bytes);
  }
  return bytesToHex(hash.digest());
}
