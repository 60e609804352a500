/**
 * bus: finds the device behind a physical address and answers the core's MMIO exits.
 *
 * Owns    nothing but the list of devices, sorted by base.
 * Used by runner.ts. The CLINT never gets here: the core serves it.
 * Holds   no two devices share an address, a name or an interrupt; a device sees naturally aligned
 *         accesses of 1, 2 or 4 bytes that lie wholly inside it; an 8-byte access is two of 4
 *         bytes, low half first; everything else is an access fault.
 */
import type { MachineView } from "../core/machine-view.ts";
import type { Device } from "../device/contract.ts";
import { VmError } from "../errors.ts";

/** The core's own. */
const CLINT_BASE = 0x200_0000;
const CLINT_BYTES = 0x1_0000;

/** The devices of one machine by address. */
export class Bus {
  readonly devices: readonly Device[];
  /** The device that answered last; accesses come in runs. */
  #last: Device | null = null;

  /** Throws "bad-config" when two devices overlap, or share a name or an interrupt. */
  constructor(devices: readonly Device[]) {
    this.devices = [...devices].sort((a, b) => a.base - b.base);
    for (let index = 1; index < this.devices.length; index++) {
      const below = this.devices[index - 1];
      const above = this.devices[index];
      if (below.base + below.bytes <= above.base) continue;
      throw new VmError("bad-config", `devices ${below.name} and ${above.name} overlap`);
    }
    const clint = this.devices.find(
      ({ base, bytes }) => base < CLINT_BASE + CLINT_BYTES && base + bytes > CLINT_BASE,
    );
    if (clint !== undefined) {
      throw new VmError("bad-config", `device ${clint.name} overlaps the CLINT at 0x2000000`);
    }
    this.#checkUnique("name", (device) => device.name);
    this.#checkUnique("interrupt", (device) => (device.irq === 0 ? null : device.irq));
  }

  #checkUnique(what: string, of: (device: Device) => string | number | null): void {
    const owners = new Map<string | number, Device>();
    for (const device of this.devices) {
      const mark = of(device);
      if (mark === null) continue;
      const other = owners.get(mark);
      if (other !== undefined) {
        const text = `devices ${other.name} and ${device.name} both have ${what} ${mark}`;
        throw new VmError("bad-config", text);
      }
      owners.set(mark, device);
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
