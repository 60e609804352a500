/**
 * bus: finds the device behind a physical address and answers the core's MMIO exits.
 *
 * Owns    nothing but the list of devices, sorted by base.
 * Used by runner.ts. The CLINT never gets here: the core serves it.
 * Holds   a device sees naturally aligned accesses of 1, 2 or 4 bytes that lie wholly inside it; an
 *         8-byte access is two of 4 bytes, low half first; everything else is an access fault.
 */
import type { MachineView } from "../core/machine-view.ts";
import type { Device } from "../device/contract.ts";
import { VmError } from "../errors.ts";

/** The devices of one machine by address. */
export class Bus {
  readonly devices: readonly Device[];
  /** The device that answered last; accesses come in runs. */
  #last: Device | null = null;

  /** Throws "bad-config" when two devices overlap. */
  constructor(devices: readonly Device[]) {
    this.devices = [...devices].sort((a, b) => a.base - b.base);
    for (let index = 1; index < this.devices.length; index++) {
      const below = this.devices[index - 1];
      const above = this.devices[index];
      if (below.base + below.bytes <= above.base) continue;
      throw new VmError("bad-config", `devices ${below.name} and ${above.name} overlap`);
    }
  }

  /** The device whose registers hold `address`, or null. */
  find(address: number): Device | null {
    const last = this.#last;
    if (last !== null && address >= last.base && address < last.base + last.bytes) return last;
    for (const device of this.devices) {
      if (address < device.base) break;
      if (address >= device.base + device.bytes) continue;
      this.#last = device;
      return device;
    }
    return null;
  }

  /**
   * Serves the MMIO exit that `view` stands at. Returns the device, or null for an access fault.
   */
  serve(view: MachineView): Device | null {
    const address = view.exitAddress;
    const size = view.exitSize;
    const device = this.find(address);
    const isServed =
      device !== null && address % size === 0 && address + size <= device.base + device.bytes;
    if (!isServed) {
      view.mmioDone(0, 0, false);
      return null;
    }
    const offset = address - device.base;
    if (view.isExitWrite) writeTo(device, offset, size, view);
    else readFrom(device, offset, size, view);
    return device;
  }
}

function writeTo(device: Device, offset: number, size: number, view: MachineView): void {
  const low = view.exitValueLow;
  if (size === 8) {
    const high = view.exitValueHigh;
    device.write(offset, 4, low);
    device.write(offset + 4, 4, high);
  } else {
    device.write(offset, size, size === 4 ? low : low & (size === 2 ? 0xffff : 0xff));
  }
  view.mmioDone(0, 0, true);
}

function readFrom(device: Device, offset: number, size: number, view: MachineView): void {
  if (size === 8) {
    const low = device.read(offset, 4);
    view.mmioDone(low, device.read(offset + 4, 4), true);
  } else {
    view.mmioDone(device.read(offset, size), 0, true);
  }
}
