/**
 * registry: every kind of device, with a factory that needs no host behind it.
 *
 * Owns    the list. Used by the contract's test, which runs over it; later by machines restored
 *         from sections.
 * Holds   a device that is not here is not tested by the contract, and test/device/contract.test.ts
 *         says so.
 */
import { MemoryBackend } from "./block/memory.ts";
import type { Device } from "./contract.ts";
import { Finisher } from "./finisher.ts";
import { GenerationId } from "./genid.ts";
import { Plic } from "./plic.ts";
import { Rtc } from "./rtc.ts";
import { Uart } from "./uart.ts";
import { VirtioBlk } from "./virtio/blk.ts";
import { VirtioConsole } from "./virtio/console.ts";
import { VirtioRng } from "./virtio/rng.ts";

const DISK_BYTES = 1 << 16;
const ignore = () => {};

/** A fresh device of each kind; output goes nowhere, the disk is 64 KiB of zeros. */
export const DEVICE_KINDS: Readonly<Record<string, () => Device>> = {
  finisher: () => new Finisher(),
  "goldfish-rtc": () => new Rtc(),
  vmgenid: () => new GenerationId(),
  plic: () => new Plic({ harts: 8, onLines: ignore }),
  uart16550: () => new Uart({ output: ignore }),
  "virtio-blk": () => new VirtioBlk({ backend: new MemoryBackend(new Uint8Array(DISK_BYTES)) }),
  "virtio-console": () => new VirtioConsole({ slot: 8, output: ignore }),
  "virtio-rng": () => new VirtioRng({ slot: 1 }),
};
