/**
 * digest: one hash over everything a machine is: equal digests are equal machines.
 *
 * Used by machine.ts, capture.ts, and by every test of law 0.
 * Holds   what the host alone knows (counters, caches, the split of a budget) is not in it.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { fieldsOfBlocks, saveBlocks } from "../core/blocks.ts";
import type { MachineView } from "../core/machine-view.ts";
import type { Device, DeviceSection } from "../device/contract.ts";

/** What else is state: blocks the generator has given, each device's alarm. */
export interface DigestExtras {
  readonly entropyCounter: number;
  alarmOf(device: Device): number | null;
}

/** A machine as a digest sees it. */
export interface DigestParts {
  /** As saveBlocks gives them. */
  readonly blocks: Uint8Array;
  /** Hash of the pages that are not zero: 32 bytes. */
  readonly pages: Uint8Array;
  readonly entropyCounter: number;
  /** By address. */
  readonly devices: readonly { readonly section: DeviceSection; readonly alarm: number | null }[];
}

function numbers(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float64Array.from(values).buffer);
}

/** SHA-256 in hexadecimal of harts, machine, memory and devices. */
export function digestOfParts(parts: DigestParts): string {
  const hash = sha256.create();
  const { words, counts, harts } = fieldsOfBlocks(parts.blocks);
  for (const hart of harts) hash.update(hart);
  hash.update(numbers(words));
  hash.update(numbers(counts));
  hash.update(parts.pages);
  hash.update(numbers([parts.entropyCounter]));
  for (const { section, alarm } of parts.devices) {
    const name = new TextEncoder().encode(section.name);
    hash.update(numbers([name.length, section.version, section.bytes.length, alarm ?? -1]));
    hash.update(name);
    hash.update(section.bytes);
  }
  return bytesToHex(hash.digest());
}

/** The digest of a machine as it is now. */
export function stateDigest(
  view: MachineView,
  devices: readonly Device[],
  { entropyCounter, alarmOf }: DigestExtras,
): string {
  return digestOfParts({
    blocks: saveBlocks(view),
    pages: view.digestPages(),
    entropyCounter,
    devices: devices.map((device) => ({ section: device.save(), alarm: alarmOf(device) })),
  });
}
