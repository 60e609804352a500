/**
 * fake-context: a machine as a device sees it, with flat RAM and a clock that a test turns.
 *
 * Used by contract/device.ts and by the tests of devices, ours and those from outside.
 * Holds   everything is deterministic; entropy counts up from the number of bytes drawn before.
 */
import type { Device, DeviceContext, GuestMemory, MachineRequest } from "../device/contract.ts";

/** Where flat RAM begins, as in a machine. */
export const RAM_BASE = 0x80000000;

/** Flat guest RAM. */
export class FlatMemory implements GuestMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** When false, every reserve fails as if frames had run out. */
  hasFrames = true;

  constructor(size = 1 << 20) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  contains(gpa: number, bytes: number): boolean {
    return gpa >= RAM_BASE && bytes >= 0 && gpa + bytes <= RAM_BASE + this.bytes.length;
  }

  read(gpa: number, target: Uint8Array): boolean {
    if (!this.contains(gpa, target.length)) return false;
    target.set(this.bytes.subarray(gpa - RAM_BASE, gpa - RAM_BASE + target.length));
    return true;
  }

  write(gpa: number, bytes: Uint8Array): boolean {
    if (!this.contains(gpa, bytes.length)) return false;
    this.bytes.set(bytes, gpa - RAM_BASE);
    return true;
  }

  reserve(gpa: number, bytes: number): boolean {
    return this.hasFrames && this.contains(gpa, bytes);
  }
}

/** The context of one device. */
export class FakeContext implements DeviceContext {
  readonly memory: FlatMemory;
  ticks = 0;
  alarmTicks: number | null = null;
  irq = false;
  /** Every level that was set, in order. */
  readonly levels: boolean[] = [];
  readonly requests: MachineRequest[] = [];
  readonly holds: Promise<unknown>[] = [];
  /** When false, a device gets one piece of work done at a time. */
  hasTime = true;
  #drawn = 0;

  constructor(memory = new FlatMemory()) {
    this.memory = memory;
  }

  setIrq(isHigh: boolean): void {
    if (typeof isHigh !== "boolean") throw new Error(`irq level ${isHigh}`);
    this.irq = isHigh;
    this.levels.push(isHigh);
    if (this.levels.length > 1000) this.levels.splice(0, 500);
  }

  now(): number {
    return this.ticks;
  }

  setAlarm(ticks: number | null): void {
    if (ticks !== null && !Number.isSafeInteger(ticks)) throw new Error(`alarm ${ticks}`);
    this.alarmTicks = ticks;
  }

  hold(work: Promise<unknown>): void {
    this.holds.push(work);
  }

  wallMs(): number {
    return 1_767_225_600_000 + Math.floor(this.ticks / 10_000);
  }

  entropy(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => (this.#drawn++ * 37 + 11) & 0xff);
  }

  mayGoOn(): boolean {
    return this.hasTime;
  }

  request(what: MachineRequest): void {
    this.requests.push(what);
  }

  /**
   * Turns the clock to `ticks` and fires the alarms of `device` on the way, a bounded number of
   * times.
   */
  advance(device: Device, ticks: number): void {
    for (let round = 0; round < 10_000; round++) {
      if (this.alarmTicks === null || this.alarmTicks > ticks) break;
      this.ticks = Math.max(this.ticks, this.alarmTicks);
      this.alarmTicks = null;
      device.alarm();
    }
    this.ticks = Math.max(this.ticks, ticks);
  }
}
