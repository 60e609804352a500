/**
 * contract: what a device is, and what a machine hands to it. Every device passes
 * test/contract/device.ts.
 *
 * Owns   the types only.
 * Holds  a device's save() is its entire state; it is given time, entropy, memory and interrupts
 *         through its context and reaches for nothing else, so a run can be replayed.
 */
import type { DeviceTreeNode } from "./device-tree.ts";

/**
 * Guest physical memory as a device sees it. Addresses are guest physical; only RAM is reachable.
 */
export interface GuestMemory {
  /** True when [gpa, gpa + bytes) lies wholly in RAM. */
  contains(gpa: number, bytes: number): boolean;
  /**
   * Copies out of the guest. False when any byte lies outside RAM (see `contains`), or in a page of
   * a lazily restored machine that is not here yet: the device leaves the request unserved, and its
   * `retry` is called when the page has come.
   */
  read(gpa: number, target: Uint8Array): boolean;
  /**
   * Copies into the guest. False (and nothing copied) when any byte lies outside RAM; call
   * `reserve` first.
   */
  write(gpa: number, bytes: Uint8Array): boolean;
  /**
   * Makes [gpa, gpa + bytes) writable without needing another frame. False when frames ran out: the
   * machine pauses with reason `memory`, and the device's `retry` is called when it goes on; the
   * device leaves the request unserved. So it does when a page is not here yet: see `read`.
   */
  reserve(gpa: number, bytes: number): boolean;
}

/** What a device may ask of its machine. */
export interface DeviceContext {
  readonly memory: GuestMemory;
  /** Level of the device's interrupt line at the PLIC. Idempotent. */
  setIrq(isHigh: boolean): void;
  /** Machine time in ticks of 100 ns (timebase 10 MHz), a safe integer, never goes back. */
  now(): number;
  /**
   * Asks for `alarm()` at absolute time `ticks`; null cancels. One alarm per device; part of the
   * device's state.
   */
  setAlarm(ticks: number | null): void;
  /** Machine time stands still until `work` settles: for a host operation that is late. */
  hold(work: Promise<unknown>): void;
  /**
   * Wall time that the guest may see, in ms since 1970: epochMs + machine time under the virtual
   * clock.
   */
  wallMs(): number;
  /**
   * `count` bytes from the machine's seeded generator (virtual clock) or the host's (host clock).
   */
  entropy(count: number): Uint8Array;
  /**
   * True while there is host time left for this instruction's work. False: the device leaves the
   * rest, and `retry` is called before the next instruction, in another slice; machine time stands
   * still meanwhile. To be asked behind a piece of work of bounded size, so that each call gets
   * somewhere.
   */
  mayGoOn(): boolean;
  /** The guest asked for something that ends or resets the machine. */
  request(what: MachineRequest): void;
}

/** What a guest can ask of its machine through a device. */
export type MachineRequest =
  | { kind: "poweroff"; code: number }
  | { kind: "reboot" }
  | { kind: "failure"; code: number };

/**
 * The saved state of one device: a named, versioned section. Bytes are little-endian and documented
 * at the device.
 */
export interface DeviceSection {
  readonly name: string;
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** A register as it is now. */
export interface RegisterFact {
  readonly name: string;
  readonly offset: number;
  readonly value: number | bigint;
  /** Its width: 1, 2, 4 or 8. */
  readonly bytes: number;
}

/** A virtqueue as it is now; addresses are guest physical. */
export interface QueueFact {
  readonly isReady: boolean;
  readonly size: number;
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
  /** Requests taken and given back, modulo 65536. */
  readonly servedIndex: number;
  readonly usedIndex: number;
}

/** What a device shows to people. */
export interface DeviceFacts {
  readonly registers: readonly RegisterFact[];
  readonly queues?: readonly QueueFact[];
  /** Anything else in numbers, such as bytes that wait. */
  readonly figures?: Readonly<Record<string, number>>;
}

/**
 * One device on the bus. Offsets are relative to `base`; sizes are 1, 2 or 4 (the bus splits 8-byte
 * accesses).
 */
export interface Device {
  /** Unique in the machine, for instance "uart0" or "virtio3". */
  readonly name: string;
  /** Kind in the registry, for instance "uart16550" or "virtio-blk". */
  readonly kind: string;
  readonly base: number;
  readonly bytes: number;
  /** PLIC source, or 0 when it has none. */
  readonly irq: number;
  /** Hands the device its machine; called once before anything else. */
  attach(context: DeviceContext): void;
  /** Register read; the value as an unsigned number. Never throws whatever the guest does. */
  read(offset: number, size: number): number;
  /** Register write. Never throws whatever the guest does. */
  write(offset: number, size: number, value: number): void;
  /** The alarm asked for with setAlarm has come. */
  alarm(): void;
  /**
   * Goes on with what was left when `reserve` failed or `mayGoOn` was false, or what a section
   * brought along; does nothing when nothing was left.
   */
  retry(): void;
  /** Back to power-on state; host bindings stay. */
  reset(): void;
  /** Registers and figures for people; changes nothing. A device may have none to show. */
  inspect?(): DeviceFacts;
  /** This device's node under /soc, or null when the guest is not told of it. */
  node(): DeviceTreeNode | null;
  /**
   * Everything of the machine is about to be saved or replaced, in the order of addresses: a device
   * with work of its own on the host lets it stand still until `thaw`. Most have none.
   */
  freeze?(): void;
  /** The reverse of `freeze`, in the reverse order. */
  thaw?(): void;
  save(): DeviceSection;
  /**
   * Takes a section of this version or an older one; throws VmError "bad-section" and changes
   * nothing otherwise.
   */
  restore(section: DeviceSection): void;
}
