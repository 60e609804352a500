/**
 * hub: what a machine hands to its devices: interrupts, alarms, memory, entropy, requests, the
 * holds on time, and the account of host work.
 *
 * Owns    the alarms, the pending request, the holds, the devices that wait for frames, for pages
 *         or for time.
 * Used by runner.ts, which asks it between runs of the core what came of the last one.
 * Holds   alarms that are due together fire in the order of the devices' addresses, so that a run
 *         can be replayed. A device that left work undone goes on at the same instruction boundary,
 *         before anything else, so that nobody can tell in how many slices it was done. Once the
 *         hub is closed nothing reaches the machine any more, however late a host operation ends.
 */
import type { Device, DeviceContext, GuestMemory, MachineRequest } from "../device/contract.ts";

/** Guest memory as a machine has it: some of its pages may not be here. */
export interface PagedMemory extends GuestMemory {
  /** True when the last call failed for a page that is not here. */
  readonly isAbsent: boolean;
}

/** What the hub needs of its machine. */
export interface HubHost {
  readonly memory: PagedMemory;
  now(): number;
  wallMs(): number;
  entropy(count: number): Uint8Array;
  /** Level of PLIC source `irq`. */
  setIrq(irq: number, isHigh: boolean): void;
  /** The RAM page that the last call of `memory` found absent. */
  absentPage(): number;
}

/** What of a device is the hub's. */
export interface HubEntry {
  /** Machine time of its alarm, or null. */
  readonly alarm: number | null;
  /** It has left work undone, or waits for the host: `retry` goes on with it. */
  readonly isLeft: boolean;
}

/**
 * Host work beside the core's that ends a slice, in about nanoseconds: a few milliseconds of it.
 */
export const WORK_MAX = 3_000_000;
/** What a call into guest memory, or an alarm, counts for, beside the bytes that it moves. */
const CALL_WORK = 100;
/** A byte from the generator is hashed for. */
const ENTROPY_WORK = 50;

/** One device's way to its machine: its context, and guest memory that remembers what it lacked. */
class DeviceDoor implements DeviceContext, GuestMemory {
  readonly memory: GuestMemory = this;
  readonly #hub: DeviceHub;
  readonly #host: HubHost;
  readonly #device: Device;

  constructor(hub: DeviceHub, host: HubHost, device: Device) {
    this.#hub = hub;
    this.#host = host;
    this.#device = device;
  }

  setIrq(isHigh: boolean): void {
    const { irq } = this.#device;
    if (irq !== 0 && !this.#hub.isClosed) this.#host.setIrq(irq, isHigh);
  }

  now(): number {
    return this.#host.now();
  }

  setAlarm(ticks: number | null): void {
    this.#hub.setAlarm(this.#device, ticks);
  }

  hold(work: Promise<unknown>): void {
    this.#hub.hold(work, this.#device);
  }

  wallMs(): number {
    return this.#host.wallMs();
  }

  entropy(count: number): Uint8Array {
    this.#hub.charge(count * ENTROPY_WORK);
    return this.#host.entropy(count);
  }

  mayGoOn(): boolean {
    if (!this.#hub.isTired) return true;
    this.#hub.leave(this.#device);
    return false;
  }

  request(what: MachineRequest): void {
    this.#hub.request ??= what;
  }

  contains(gpa: number, bytes: number): boolean {
    return !this.#hub.isClosed && this.#host.memory.contains(gpa, bytes);
  }

  read(gpa: number, target: Uint8Array): boolean {
    const { memory } = this.#host;
    return this.#isOpen(target.length) && (memory.read(gpa, target) || this.#lacked(false));
  }

  write(gpa: number, bytes: Uint8Array): boolean {
    const { memory } = this.#host;
    if (!this.#isOpen(bytes.length)) return false;
    return memory.write(gpa, bytes) || this.#lacked(memory.contains(gpa, bytes.length));
  }

  reserve(gpa: number, bytes: number): boolean {
    const { memory } = this.#host;
    // a page that has its frame costs as much as 64 bytes
    if (!this.#isOpen(bytes / 64)) return false;
    return memory.reserve(gpa, bytes) || this.#lacked(memory.contains(gpa, bytes));
  }

  #isOpen(bytes: number): boolean {
    this.#hub.charge(CALL_WORK + bytes);
    return !this.#hub.isClosed;
  }

  /** A call failed: for a page that is absent, or else, inside RAM, for a frame. */
  #lacked(isInside: boolean): false {
    if (this.#host.memory.isAbsent) this.#hub.lackPage(this.#device, this.#host.absentPage());
    else if (isInside) this.#hub.lackFrames(this.#device);
    return false;
  }
}

/** Between the devices and the runner of one machine. */
export class DeviceHub {
  /** Ticks of the earliest alarm; Infinity when none is armed. */
  nextAlarm = Number.POSITIVE_INFINITY;
  /** What the guest asked of the machine since the runner last looked. */
  request: MachineRequest | null = null;
  readonly #host: HubHost;
  readonly #alarms = new Map<Device, number>();
  /** What keeps time still, and the device that asked for it. */
  readonly #holds = new Map<Promise<unknown>, Device | null>();
  readonly #starved = new Set<Device>();
  readonly #unfinished = new Set<Device>();
  readonly #pageless = new Set<Device>();
  #page = 0;
  #work = 0;
  #isClosed = false;

  constructor(host: HubHost) {
    this.#host = host;
  }

  /** Hands `device` its context. */
  attach(device: Device): void {
    device.attach(new DeviceDoor(this, this.#host, device));
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

  /** `device` has work left that is done before the next instruction. */
  leave(device: Device): void {
    this.#unfinished.add(device);
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
    this.#forget();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  // ---- alarms and holds ----

  /** Arms the alarm of `device`, or with null disarms it. */
  setAlarm(device: Device, ticks: number | null): void {
    if (ticks === null) this.#alarms.delete(device);
    else this.#alarms.set(device, ticks);
    let next = Number.POSITIVE_INFINITY;
    for (const due of this.#alarms.values()) next = Math.min(next, due);
    this.nextAlarm = next;
  }

  /** Keeps machine time still until `work` settles; `device` is who waits for it. */
  hold(work: Promise<unknown>, device: Device | null = null): void {
    this.#holds.set(work, device);
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
      this.setAlarm(device, null);
      device.alarm();
      if (this.isUnfinished) return;
    }
  }

  /** True while a host operation keeps machine time still. */
  get isHeld(): boolean {
    return this.#holds.size > 0;
  }

  /** True while it is for a device's sake. */
  get isHeldByDevice(): boolean {
    return [...this.#holds.values()].some((device) => device !== null);
  }

  /**
   * Settles when everything that holds time now has settled, and their own continuations have run.
   */
  async released(): Promise<void> {
    while (this.#holds.size > 0) await Promise.allSettled([...this.#holds.keys()]);
  }

  /** As `released`, for what devices wait for. */
  async devicesReleased(): Promise<void> {
    for (;;) {
      const works = [...this.#holds].filter(([, device]) => device !== null);
      if (works.length === 0) return;
      await Promise.allSettled(works.map(([work]) => work));
    }
  }

  // ---- frames and pages ----

  /** `device` could not get frames. */
  lackFrames(device: Device): void {
    this.#starved.add(device);
  }

  /** `device` could not get at RAM page `page`: it is not here. */
  lackPage(device: Device, page: number): void {
    this.#pageless.add(device);
    this.#page = page;
  }

  /** True when a device could not get frames: its machine pauses until there are some. */
  get isStarved(): boolean {
    return this.#starved.size > 0;
  }

  /** The RAM page that a device waits for, or null. */
  get awaitedPage(): number | null {
    return this.#pageless.size > 0 ? this.#page : null;
  }

  /** Lets the devices that lacked frames or a page try again, in order of address. */
  retry(devices: readonly Device[]): void {
    if (this.#starved.size === 0 && this.#pageless.size === 0) return;
    const waiting = new Set([...this.#starved, ...this.#pageless]);
    this.#starved.clear();
    this.#pageless.clear();
    for (const device of devices) if (waiting.has(device)) device.retry();
  }

  // ---- life ----

  #forget(): void {
    this.#alarms.clear();
    this.#starved.clear();
    this.#pageless.clear();
    this.#unfinished.clear();
    this.nextAlarm = Number.POSITIVE_INFINITY;
  }

  /** Forgets requests and alarms: the machine is reset. */
  reset(): void {
    this.request = null;
    this.#forget();
  }

  /** What of `device` is kept here. */
  entryOf(device: Device): HubEntry {
    const isWaiting = [...this.#holds.values()].includes(device);
    const isShort = this.#starved.has(device) || this.#pageless.has(device);
    const isLeft = this.#unfinished.has(device) || isShort || isWaiting;
    return { alarm: this.alarmOf(device), isLeft };
  }

  /** Everything as another machine had it. `entries` belong to `devices`, one to one. */
  restore(
    request: MachineRequest | null,
    devices: readonly Device[],
    entries: readonly HubEntry[],
  ): void {
    this.reset();
    this.request = request;
    entries.forEach(({ alarm, isLeft }, index) => {
      this.setAlarm(devices[index], alarm);
      if (isLeft) this.leave(devices[index]);
    });
  }
}
