/**
 * hub: what a machine hands to its devices: interrupts, alarms, memory, entropy, requests, and the
 * holds on time.
 *
 * Owns    the alarms, the pending request, the holds, the devices that wait for frames.
 * Used by runner.ts, which asks it between runs of the core what came of the last one.
 * Holds   alarms that are due together fire in the order of the devices' addresses, so that a run
 *         can be replayed.
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

  constructor(host: HubHost) {
    this.#host = host;
  }

  /** Hands `device` its context. */
  attach(device: Device): void {
    const host = this.#host;
    const context: DeviceContext = {
      memory: this.#memoryFor(device),
      setIrq: (isHigh) => {
        if (device.irq !== 0) host.setIrq(device.irq, isHigh);
      },
      now: () => host.now(),
      setAlarm: (ticks) => this.#setAlarm(device, ticks),
      hold: (work) => this.#hold(work),
      wallMs: () => host.wallMs(),
      entropy: (count) => host.entropy(count),
      request: (what) => {
        this.request ??= what;
      },
    };
    device.attach(context);
  }

  /** Guest memory that remembers who could not get frames. */
  #memoryFor(device: Device): GuestMemory {
    const host = this.#host;
    const starve = (isDone: boolean, gpa: number, bytes: number): boolean => {
      if (!isDone && host.memory.contains(gpa, bytes)) this.#starved.add(device);
      return isDone;
    };
    return {
      contains: (gpa, bytes) => host.memory.contains(gpa, bytes),
      read: (gpa, target) => host.memory.read(gpa, target),
      write: (gpa, bytes) => starve(host.memory.write(gpa, bytes), gpa, bytes.length),
      reserve: (gpa, bytes) => starve(host.memory.reserve(gpa, bytes), gpa, bytes),
    };
  }

  #setAlarm(device: Device, ticks: number | null): void {
    if (ticks === null) this.#alarms.delete(device);
    else this.#alarms.set(device, ticks);
    let next = Number.POSITIVE_INFINITY;
    for (const due of this.#alarms.values()) next = Math.min(next, due);
    this.nextAlarm = next;
  }

  #hold(work: Promise<unknown>): void {
    this.#holds.add(work);
    const release = () => this.#holds.delete(work);
    work.then(release, release);
  }

  /** The alarm that `device` has armed, or null. */
  alarmOf(device: Device): number | null {
    return this.#alarms.get(device) ?? null;
  }

  /** Fires the alarms that are due at `now`, each once. `devices` gives the order. */
  fire(devices: readonly Device[], now: number): void {
    for (const device of devices) {
      const due = this.#alarms.get(device);
      if (due === undefined || due > now) continue;
      this.#setAlarm(device, null);
      device.alarm();
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
    this.nextAlarm = Number.POSITIVE_INFINITY;
  }
}
