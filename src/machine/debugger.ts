/**
 * debugger: what a debugger does to a machine: points, steps, registers, memory, translation.
 *
 * Owns    the points of all owners, and whether a stop ends the run or holds it.
 * Used by machine.ts, which has one; debug/ (gdb), the shell, embedders.
 * Holds   law 0: looking changes nothing, and neither does stopping: a machine that was stopped a
 *         thousand times has the digest of one that was not. Only what is written is different.
 */
import {
  type Csr,
  csrNumber,
  FLOAT_REGISTER_NAMES,
  floatRegisterNumber,
  registerNumber,
} from "../asm/register.ts";
import { DebugView, type StopEntry, type TlbEntry, type WatchEntry } from "../core/debug-view.ts";
import { type HartView, PRIV_M, PRIV_S, PRIV_U } from "../core/hart-view.ts";
import type { MachineView } from "../core/machine-view.ts";
import { VmError } from "../errors.ts";
import { DebugPoints, isSameWatch } from "./debug-points.ts";
import type { DebugStop, MachineState, RunResult } from "./result.ts";
import { type AccessKind, type Translation, translate } from "./translate.ts";

/** The part of a machine that its debugger needs. */
export interface DebuggedMachine {
  readonly name: string;
  readonly view: MachineView;
  readonly state: MachineState;
  readonly reason: string;
  readonly isDisposed: boolean;
  /** A run is under way, paused or not. */
  readonly hasRun: boolean;
  on(event: "stop", listener: (stop: DebugStop) => void): () => void;
  on(event: "end", listener: (result: RunResult) => void): () => void;
  run(): Promise<RunResult>;
  pause(reason: string): void;
  resume(): void;
}

/** Which memory an address is in. */
export interface MemorySpace {
  /** The hart whose page tables count; default 0. */
  readonly hart?: number;
  /** The address is guest physical already. */
  readonly isPhysical?: boolean;
}

/** Registers of one hart. */
export interface HartRegisters {
  readonly hart: number;
  readonly pc: bigint;
  readonly privilege: "U" | "S" | "M";
  /** x0 to x31. */
  readonly x: readonly bigint[];
  /** f0 to f31, their 64 bits. */
  readonly f: readonly bigint[];
  /** It waits in WFI, or has not been started (SBI HSM). */
  readonly isWaiting: boolean;
  readonly isStopped: boolean;
}

/** What ends a step before its time: AbortSignal is one. */
export interface StepSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

const PAGE_BYTES = 4096;
const READ_BYTES_MAX = 1 << 30;
const PRIVILEGES: Record<number, "U" | "S" | "M"> = { [PRIV_U]: "U", [PRIV_S]: "S", [PRIV_M]: "M" };

const hex = (value: bigint | number) => `0x${value.toString(16)}`;

/** Debugs one machine: `machine.debugger`. */
export class Debugger {
  /** Points set through the API. */
  readonly points: DebugPoints;
  /**
   * False: a stop ends the run with "break", and the next run goes on. True: it pauses the machine
   * while the run stays under way, until `resume`.
   */
  isHolding = false;
  readonly #machine: DebuggedMachine;
  readonly #owners = new Set<DebugPoints>();
  readonly #debugView: DebugView;

  /** For machine.ts. */
  constructor(machine: DebuggedMachine) {
    this.#machine = machine;
    this.#debugView = new DebugView(machine.view);
    this.points = this.openPoints();
  }

  /** The core's side; throws "disposed" once the machine's blocks may be another one's. */
  get #core(): DebugView {
    if (!this.#machine.isDisposed) return this.#debugView;
    throw new VmError("disposed", `${this.#machine.name} is disposed`);
  }

  // ---- points ----

  /** Breakpoints of all owners, each address once. */
  get breakpoints(): readonly bigint[] {
    return [...new Set([...this.#owners].flatMap((owner) => owner.breakpoints))];
  }

  /** Watchpoints of all owners, each once. */
  get watchpoints(): readonly WatchEntry[] {
    const all = [...this.#owners].flatMap((owner) => owner.watchpoints);
    return all.filter((one, at) => all.findIndex((other) => isSameWatch(one, other)) === at);
  }

  /** Points that can be taken away together, without those of anybody else. */
  openPoints(): DebugPoints {
    const points = new DebugPoints(this);
    this.#owners.add(points);
    return points;
  }

  /** For DebugPoints: puts what is set into the core. */
  apply(): void {
    if (!this.#machine.isDisposed) this.#core.setTables(this.breakpoints, this.watchpoints);
  }

  /** For DebugPoints: an owner is gone. */
  forget(points: DebugPoints): void {
    if (this.#owners.delete(points)) this.apply();
  }

  /** True: an EBREAK of the guest stops before it traps. */
  get catchesEbreak(): boolean {
    return this.#core.catchesEbreak;
  }

  set catchesEbreak(value: boolean) {
    this.#core.catchesEbreak = value;
  }

  /** For machine.ts: the stop as it is told; the hart does not stop there again at once. */
  told({ cause, hart, address, access, watch }: StopEntry): DebugStop {
    this.#core.passOver(hart);
    const watchpoint = watch === undefined ? undefined : this.watchpoints[watch];
    return { cause, hart, pc: this.#hart(hart).pc, address, access, watchpoint };
  }

  // ---- running ----

  /**
   * Runs on to the next stop or the end of the run, whatever `isHolding` says. Throws "bad-state"
   * for a machine that is not booted, "busy" for one that is running.
   */
  async continue(signal?: StepSignal): Promise<RunResult> {
    const machine = this.#machine;
    this.#needStopped("goes on");
    if (signal?.aborted) return { kind: "stopped" };
    const { promise, resolve, reject } = deferred<RunResult>();
    const ends = [
      machine.on("stop", (stop) => resolve({ kind: "break", ...stop })),
      machine.on("end", (result) => {
        // a stop that ends the run is told as a stop
        if (result.kind !== "break") resolve(result);
      }),
    ];
    const abort = () => {
      if (!machine.isDisposed) this.#core.disarmStep();
      if (machine.state === "running") machine.pause("debugger");
      resolve({ kind: "stopped" });
    };
    signal?.addEventListener("abort", abort);
    try {
      if (!machine.hasRun) machine.run().catch(reject);
      // one that waits for memory goes on by itself
      if (machine.state === "paused" && machine.reason !== "memory") machine.resume();
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      for (const end of ends) end();
    }
  }

  /**
   * Lets a hart execute `count` instructions; one that traps counts when it has trapped. The other
   * harts run in their turns meanwhile, and a hart that waits goes on waiting. Ends early with
   * another stop, the end of the run, or "stopped" by `signal`.
   */
  async step(hart = 0, count = 1, signal?: StepSignal): Promise<RunResult> {
    this.#hart(hart);
    if (!Number.isSafeInteger(count) || count < 1) {
      throw new VmError("bad-argument", `step ${count}: accepted are whole numbers from 1`);
    }
    for (let left = count; ; left--) {
      this.#needStopped("steps");
      this.#core.passOver(hart);
      this.#core.armStep(hart);
      const result = await this.continue(signal);
      if (left === 1 || result.kind !== "break" || result.cause !== "step") {
        if (!this.#machine.isDisposed) this.#core.disarmStep();
        return result;
      }
    }
  }

  /** For debug/: the next run stops behind one instruction of `hart`. */
  armStep(hart: number): void {
    this.#core.passOver(this.#hart(hart).id);
    this.#core.armStep(hart);
  }

  /** For debug/: forgets the step. */
  disarmStep(): void {
    this.#core.disarmStep();
  }

  #needStopped(what: string): void {
    const { state, hasRun, name } = this.#machine;
    if (state === "paused" || (state === "running" && !hasRun)) return;
    const how = state === "running" ? "pause it first" : "boot it first";
    throw new VmError("bad-state", `${name} is ${state}: it ${what} when it stands; ${how}`);
  }

  #needWritable(): void {
    const { state, hasRun, name } = this.#machine;
    if (state !== "running" || !hasRun) return;
    const accepted = "registers are written while it stands; pause it first";
    throw new VmError("bad-state", `${name} is running: ${accepted}`);
  }

  // ---- registers ----

  /** Number of harts. */
  get harts(): number {
    return this.#machine.view.harts.length;
  }

  #hart(index: number): HartView {
    const { harts } = this.#machine.view;
    const hart = harts[index];
    if (hart !== undefined) return hart;
    const accepted = harts.length === 1 ? "accepted is 0" : `accepted are 0 to ${harts.length - 1}`;
    throw new VmError("bad-argument", `hart ${index}: ${accepted}`);
  }

  /** Every integer and floating-point register of a hart. */
  registers(hart = 0): HartRegisters {
    const view = this.#hart(hart);
    const all = Array.from({ length: 32 }, (_, index) => index);
    return {
      hart,
      pc: view.pc,
      privilege: PRIVILEGES[view.privilege],
      x: all.map((index) => view.x(index)),
      f: all.map((index) => view.f(index)),
      isWaiting: view.isWaiting,
      isStopped: view.hsm !== 0,
    };
  }

  /**
   * Writes "pc", "priv" (0, 1 or 3), an integer or a floating-point register by any of its names.
   * Throws "bad-argument"; "bad-state" while the machine is running.
   */
  setRegister(hart: number, name: string, value: bigint): void {
    const view = this.#hart(hart);
    this.#needWritable();
    const bits = BigInt.asUintN(64, value);
    if (name === "pc") {
      if (bits % 2n !== 0n) throw new VmError("bad-argument", `pc ${hex(bits)}: it must be even`);
      view.pc = bits;
    } else if (name === "priv") {
      if (!(Number(bits) in PRIVILEGES)) {
        throw new VmError("bad-argument", `priv ${bits}: accepted are 0 (U), 1 (S) and 3 (M)`);
      }
      view.privilege = Number(bits);
    } else if (isFloatName(name)) view.setF(floatRegisterNumber(name as `f${number}`), bits);
    else view.setX(registerNumber(name as `x${number}`), bits);
    this.#machine.view.sync();
  }

  /** A CSR as M-mode reads it, by name or number; null when there is none of that number. */
  csr(hart: number, csr: Csr): bigint | null {
    return this.#core.csrRead(this.#hart(hart).id, csrNumber(csr));
  }

  /** Writes a CSR by its own rules. Throws "bad-argument" when it is read-only or none. */
  setCsr(hart: number, csr: Csr, value: bigint): void {
    this.#needWritable();
    const number = csrNumber(csr);
    if (this.#core.csrWrite(this.#hart(hart).id, number, BigInt.asUintN(64, value))) return;
    const isThere = this.#core.csrRead(hart, number) !== null;
    throw new VmError("bad-argument", `CSR ${csr}: ${isThere ? "it is read-only" : "none such"}`);
  }

  // ---- memory ----

  /** Where a virtual address of a hart leads, without side effects. */
  translate(hart: number, address: bigint, access?: AccessKind): Translation {
    return translate(this.#hart(hart), this.#machine.view.memory, address, access);
  }

  /** Guest physical address of the byte at `address` as a number, or null outside RAM. */
  #physical(address: bigint, space: MemorySpace): number | null {
    const { memory } = this.#machine.view;
    const hart = this.#hart(space.hart ?? 0);
    const isPhysical = space.isPhysical === true;
    const physical = isPhysical ? address : translate(hart, memory, address).physical;
    if (physical === null || physical > BigInt(Number.MAX_SAFE_INTEGER)) return null;
    return memory.contains(Number(physical), 1) ? Number(physical) : null;
  }

  /**
   * Calls `work` for each piece of [address, address + bytes) that lies in one page, until it is
   * false. Returns how many bytes were done.
   */
  #pieces(
    address: bigint,
    bytes: number,
    space: MemorySpace,
    work: (physical: number, done: number, count: number) => boolean,
  ): number {
    for (let done = 0; done < bytes; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const physical = this.#physical(at, space);
      if (physical === null) return done;
      const count = Math.min(bytes - done, PAGE_BYTES - (physical % PAGE_BYTES));
      if (!work(physical, done, count)) return done;
      done += count;
    }
    return bytes;
  }

  /**
   * Copies guest memory; pages never written are zeros. Shorter than asked for where an address
   * leads nowhere or to a device, which is not read: reading could change it. At most 1 GiB at a
   * time; throws "bad-argument"; "not-found" when already the first page is not in memory yet.
   */
  readMemory(address: bigint, bytes: number, space: MemorySpace = {}): Uint8Array {
    if (!Number.isInteger(bytes) || bytes < 0 || bytes > READ_BYTES_MAX) {
      throw new VmError("bad-argument", `${bytes} bytes: accepted are 0 to ${READ_BYTES_MAX}`);
    }
    const { memory } = this.#machine.view;
    const target = new Uint8Array(bytes);
    let isAway = false;
    const done = this.#pieces(address, bytes, space, (physical, at, count) => {
      const isRead = memory.read(physical, target.subarray(at, at + count));
      isAway = !isRead && memory.isAbsent;
      return isRead;
    });
    if (done === 0 && isAway) throw notYet(address);
    return target.subarray(0, done);
  }

  /**
   * Writes guest memory whatever the rights of its pages, and drops what was decoded or translated
   * from it. Throws "bad-argument", with nothing written, where an address leads nowhere or to a
   * device; "no-memory" when frames ran out, "not-found" when a page is not in memory yet.
   */
  writeMemory(address: bigint, bytes: Uint8Array, space: MemorySpace = {}): void {
    const { memory } = this.#machine.view;
    const { length } = bytes;
    const there = this.#pieces(address, length, space, () => true);
    if (there < length) {
      const at = BigInt.asUintN(64, address + BigInt(there));
      throw new VmError("bad-argument", `memory at ${hex(at)}: ${this.#whyNot(at, space)}`);
    }
    const reserve = (physical: number, _: number, count: number) => memory.reserve(physical, count);
    if (this.#pieces(address, length, space, reserve) < length) {
      if (memory.isAbsent) throw notYet(address);
      throw new VmError("no-memory", `memory at ${hex(address)}: the host's frames ran out`);
    }
    this.#pieces(address, length, space, (physical, at, count) =>
      memory.write(physical, bytes.subarray(at, at + count)),
    );
  }

  /** Why there is no memory at an address. */
  #whyNot(address: bigint, space: MemorySpace): string {
    if (space.isPhysical === true) return "it is outside RAM";
    const { fault, physical } = this.translate(space.hart ?? 0, address);
    return fault ?? `it leads to ${hex(physical ?? 0n)}, outside RAM`;
  }

  /** What a hart's software TLBs hold now: a cache of the page tables that the guest cannot see. */
  tlb(hart = 0): TlbEntry[] {
    return this.#core.tlb(this.#hart(hart).id);
  }
}

/** A page of a machine that was restored and has not got there yet. */
function notYet(address: bigint): VmError {
  const text = `memory at ${hex(address)}: a page is not in memory yet; it comes with the first use`;
  return new VmError("not-found", text);
}

const FLOAT_NAMES = new Set<string>(FLOAT_REGISTER_NAMES);

function isFloatName(name: string): boolean {
  return FLOAT_NAMES.has(name) || /^f\d+$/.test(name);
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}
