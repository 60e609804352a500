/**
 * hub: what a machine hands to its devices: interrupts, alarms, memory, entropy, requests, the
 * holds on time, and the account of host work.
 *
 * Owns    the alarms, the pending request, the holds, the devices that wait for frames or for time.
 * Used by runner.ts, which asks it between runs of the core what came of the last one.
 * Holds   alarms that are due together fire in the order of the devices' addresses, so that a run
 *         can be replayed. A device that left work undone goes on at the same instruction boundary,
 *         before anything else, so that nobody can tell in how many slices it was done. Once the
 *         hub is closed nothing reaches the machine any more, however late a host operation ends.
 */
import type { Device, DeviceContext, GuestMemory, MachineRequest } from "../device/contract.ts";

/** What the hub needs of its machine. */
export interface HubHost {
  readonly memory: GuestMemory;
  now(): number;
  wallMs(): number;
  entropy(count: number): Uint8Array;
  /** Level of PLIC source `irq`. */
  setIrq(irq: number, isHigh: boolean): void;
}

/**
 * Host work beside the core's that ends a slice, in about nanoseconds: a few milliseconds of it.
 */
export const WORK_MAX = 3_000_000;
/** What a call into guest memory, or an alarm, counts for, beside the bytes that it moves. */
const CALL_WORK = 100;
/** A byte from the generator is hashed for. */
const ENTROPY_WORK = 50;
/** Between the devices and the runner of one machine. */
export class DeviceHub {
  /** Ticks of the earliest alarm; Infinity when none is armed. */
  nextAlarm = Number.POSITIVE_INFINITY;
  /** What the guest asked of the machine since the runner last looked. */
  request: MachineRequest | null = null;
  readonly #host: HubHost;
  readonly #alarms = new Map<Device, number>();
  readonly #holds = new Set<Promise<unknown>>();
  readonly #starved = new Set<Device>();
  readonly #unfinished = new Set<Device>();
  #work = 0;
  #isClosed = false;

  constructor(host: HubHost) {
    this.#host = host;
  }

  /** Hands `device` its context. */
  attach(device: Device): void {
    const host = this.#host;
    const context: DeviceContext = {
      memory: this.#memoryFor(device),
      setIrq: (isHigh) => {
        if (device.irq !== 0 && !this.#isClosed) host.setIrq(device.irq, isHigh);
      },
      now: () => host.now(),
      setAlarm: (ticks) => this.#setAlarm(device, ticks),
      hold: (work) => this.hold(work),
      wallMs: () => host.wallMs(),
      entropy: (count) => {
        this.charge(count * ENTROPY_WORK);
        return host.entropy(count);
      },
      mayGoOn: () => {
        if (!this.isTired) return true;
        this.#unfinished.add(device);
        return false;
      },
      request: (what) => {
        this.request ??= what;
      },
    };
    device.attach(context);
  }

  /** Guest memory that remembers who could not get frames. */
  #memoryFor(device: Device): GuestMemory {
    const { memory } = this.#host;
    const isOpen = (bytes: number): boolean => {
      this.charge(CALL_WORK + bytes);
      return !this.#isClosed;
    };
    const starve = (isDone: boolean, gpa: number, bytes: number): boolean => {
      if (!isDone && memory.contains(gpa, bytes)) this.#starved.add(device);
      return isDone;
    };
    return {
      contains: (gpa, bytes) => !this.#isClosed && memory.contains(gpa, bytes),
      read: (gpa, target) => isOpen(target.length) && memory.read(gpa, target),
      write: (gpa, bytes) =>
        isOpen(bytes.length) && starve(memory.write(gpa, bytes), gpa, bytes.length),
      // a page that has its frame costs as much as 64 bytes
      reserve: (gpa, bytes) => isOpen(bytes / 64) && starve(memory.reserve(gpa, bytes), gpa, bytes),
    };
  }

  // ---- host work ----

  /** A slice begins: its account is empty. */
  beginSlice(): void {
    this.#work = 0;
  }

  /** Counts host work, in about nanoseconds. */
  charge(work: number): void {
    this.#work += work;
  }

  /** Work counted since the slice began. */
  get work(): number {
    return this.#work;
  }

  /** True when the slice has done enough. */
  get isTired(): boolean {
    return this.#work >= WORK_MAX;
  }

  /** True when a device has left work for the next slice; no instruction may run before it. */
  get isUnfinished(): boolean {
    return this.#unfinished.size > 0;
  }

  /** Lets the device that left work undone go on. */
  goOn(): void {
    const [device] = this.#unfinished;
    if (device === undefined) return;
    this.#unfinished.delete(device);
    device.retry();
  }

  /** The machine is going away: nothing that a device does reaches it from now on. */
  close(): void {
    this.#isClosed = true;
    this.#alarms.clear();
    this.#starved.clear();
    this.#unfinished.clear();
    this.nextAlarm = Number.POSITIVE_INFINITY;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  // ---- alarms and holds ----

  #setAlarm(device: Device, ticks: number | null): void {
    if (ticks === null) this.#alarms.delete(device);
    else this.#alarms.set(device, ticks);
    let next = Number.POSITIVE_INFINITY;
    for (const due of this.#alarms.values()) next = Math.min(next, due);
    this.nextAlarm = next;
  }

  /** Keeps machine time still until `work` settles. */
  hold(work: Promise<unknown>): void {
    this.#holds.add(work);
    const release = () => this.#holds.delete(work);
    work.then(release, release);
  }

  /** The alarm that `device` has armed, or null. */
  alarmOf(device: Device): number | null {
    return this.#alarms.get(device) ?? null;
  }

  /**
   * Fires the alarms that are due at `now`, each once, until a device leaves work undone. `devices`
   * gives the order.
   */
  fire(devices: readonly Device[], now: number): void {
    for (const device of devices) {
      const due = this.#alarms.get(device);
      if (due === undefined || due > now) continue;
      this.charge(CALL_WORK);
      this.#setAlarm(device, null);
      device.alarm();
      if (this.isUnfinished) return;
    }
  }

  /** True while a host operation keeps machine time still. */
  get isHeld(): boolean {
    return this.#holds.size > 0;
  }

  /**
   * Settles when everything that holds time now has settled, and their own continuations have run.
   */
  async released(): Promise<void> {
    while (this.#holds.size > 0) await Promise.allSettled([...this.#holds]);
  }

  /** True when a device could not get frames: its machine pauses until there are some. */
  get isStarved(): boolean {
    return this.#starved.size > 0;
  }

  /** Lets the devices that lacked frames try again, in order of address. */
  retry(devices: readonly Device[]): void {
    const starved = new Set(this.#starved);
    this.#starved.clear();
    for (const device of devices) if (starved.has(device)) device.retry();
  }

  /** Forgets requests and alarms: the machine is reset. */
  reset(): void {
    this.request = null;
    this.#alarms.clear();
    this.#starved.clear();
    this.#unfinished.clear();
    this.nextAlarm = Number.POSITIVE_INFINITY;
  }
}
