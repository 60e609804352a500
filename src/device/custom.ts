/**
 * custom: devices of kinds that an embedder registered: where they stand, and that a factory made
 * what it was asked for.
 *
 * Owns    the addresses and interrupts that custom devices get when nobody says otherwise.
 * Used by machine/config.ts, which checks requests, and machine/devices.ts, which makes the
 *         devices.
 * Holds   QEMU virt puts nothing at these addresses, and no device of ours has these interrupts.
 */
import { VmError } from "../errors.ts";
import type { Device } from "./contract.ts";

/** Where one device stands; a factory hands these on to the device it makes. */
export interface DevicePlace {
  readonly name: string;
  /** Guest physical address of its registers. */
  readonly base: number;
  /** PLIC source, 0 for none. */
  readonly irq: number;
  /** As given in the request. */
  readonly options: unknown;
}

/** Makes a fresh device. */
export type DeviceFactory = (place: DevicePlace) => Device;

/** A device of a registered kind that a machine is to have. */
export interface DeviceRequest {
  /** As given to `host.registerDevice`. */
  readonly kind: string;
  /** Default: the kind and the number of devices before it, such as "doorbell0". */
  readonly name?: string;
  /** Default: 0x11000000 and up, 64 KiB apart. A multiple of 4096. */
  readonly base?: number;
  /** Default: 13 and up. 0 for none. */
  readonly irq?: number;
  /** For the factory. */
  readonly options?: unknown;
}

/** A checked request. */
export interface CustomDevice {
  readonly kind: string;
  readonly place: DevicePlace;
  readonly make: DeviceFactory;
}

const BASE_FIRST = 0x1100_0000;
const BASE_STEP = 0x1_0000;
const BASE_END = 0x8000_0000;
const PAGE_BYTES = 4096;
/** QEMU virt gives 1 to 8, 10, 11 and 32 to 35 away, we 12, and 36 on to disks. */
const IRQ_FIRST = 13;
const IRQ_LAST = 31;
const IRQ_MAX = 95;
/** Custom devices in one machine. */
export const CUSTOM_DEVICES_MAX = IRQ_LAST - IRQ_FIRST + 1;

function refuse(what: string, accepted: string): never {
  throw new VmError("bad-config", `${what}: accepted are ${accepted}`);
}

/** Gives each request its place. Throws "bad-config". */
export function placeDevices(
  requests: readonly DeviceRequest[],
  kinds: ReadonlyMap<string, DeviceFactory>,
): CustomDevice[] {
  if (requests.length > CUSTOM_DEVICES_MAX) {
    refuse(`${requests.length} custom devices`, `up to ${CUSTOM_DEVICES_MAX}`);
  }
  return requests.map(({ kind, name, base, irq, options }, index) => {
    const make = kinds.get(kind);
    if (make === undefined) {
      const names = [...kinds.keys()].join(", ");
      refuse(`device kind "${kind}"`, names === "" ? "none: call host.registerDevice" : names);
    }
    const place = {
      name: name ?? `${kind}${index}`,
      base: base ?? BASE_FIRST + index * BASE_STEP,
      irq: irq ?? IRQ_FIRST + index,
      options,
    };
    const isInMap = place.base >= 0 && place.base < BASE_END && place.base % PAGE_BYTES === 0;
    if (!isInMap) refuse(`${place.name} at ${place.base}`, "multiples of 4096 below 0x80000000");
    if (!(Number.isInteger(place.irq) && place.irq >= 0 && place.irq <= IRQ_MAX)) {
      refuse(`${place.name} with irq ${place.irq}`, `integers from 0 to ${IRQ_MAX}`);
    }
    return { kind, place, make };
  });
}

/** Makes the device of a checked request. Throws "bad-config" when the factory made another. */
export function makeCustom({ kind, place, make }: CustomDevice): Device {
  let device: Device;
  try {
    device = make(place);
  } catch (cause) {
    const text = `the factory of device kind "${kind}" threw ${String(cause)}`;
    throw new VmError("bad-config", text, { cause });
  }
  const given = `${device.kind} ${device.name} at 0x${device.base.toString(16)} irq ${device.irq}`;
  const asked = `${kind} ${place.name} at 0x${place.base.toString(16)} irq ${place.irq}`;
  if (given === asked) return device;
  throw new VmError("bad-config", `the factory of "${kind}" made ${given}, asked for ${asked}`);
}
