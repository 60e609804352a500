/**
 * script: a guest that performs a list of accesses: stores and loads of any size at any address,
 * pauses, and a loop; what traps is stepped over. The list is data, so that a test writes down what
 * a hostile driver does and a real guest does it.
 *
 * Used by the suites of test/hostile.
 *
 *   operation u64 │ address u64 │ value u64      a load leaves its answer in the value
 */
import { Assembler } from "../../src/asm/assembler.ts";
import { elf64 } from "../../src/asm/elf.ts";
import type { MachineView } from "../../src/core/machine-view.ts";
import { emitPoweroff, RAM } from "../helpers/guest-program.ts";

const LIST = RAM + 0x1000;
const STEP_BYTES = 24;
const OPERATION_BYTES = 16;

const OPERATIONS = [
  ...["end", "store1", "store2", "store4", "store8", "load1", "load2", "load4", "load8"],
  ...["spin", "wait", "again", "zero", "swap"],
] as const;
type Operation = (typeof OPERATIONS)[number];
type Size = 1 | 2 | 4 | 8;

/** Where scripts may keep what they like: rings, buffers, tables. */
export const FREE = RAM + 0x40000;

/** A list of accesses in the making. */
export class Script {
  readonly #steps: [Operation, bigint, bigint][] = [];

  get length(): number {
    return this.#steps.length;
  }

  #add(operation: Operation, address: number | bigint, value: number | bigint): this {
    this.#steps.push([operation, BigInt(address), BigInt.asUintN(64, BigInt(value))]);
    return this;
  }

  store(size: Size, address: number | bigint, value: number | bigint): this {
    return this.#add(`store${size}` as Operation, address, value);
  }

  /** Returns the number of the step, for `answer`. */
  load(size: Size, address: number | bigint): number {
    this.#add(`load${size}` as Operation, address, 0);
    return this.#steps.length - 1;
  }

  /** Computes for about 2 `rounds` instructions. */
  spin(rounds: number): this {
    return this.#add("spin", 0, rounds);
  }

  /** Waits for an interrupt, with every one enabled and none taken. */
  wait(): this {
    return this.#add("wait", 0, 0);
  }

  /** cbo.zero. */
  zero(address: number | bigint): this {
    return this.#add("zero", address, 0);
  }

  /** amoswap.d. */
  swap(address: number | bigint, value: number | bigint): this {
    return this.#add("swap", address, value);
  }

  /** Begins the list again, `times` times. */
  again(times: number): this {
    return this.#add("again", 0, times);
  }

  /** Stores bytes as doublewords; the address is a multiple of 8. */
  bytes(address: number, bytes: Uint8Array): this {
    const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8);
    padded.set(bytes);
    const view = new DataView(padded.buffer);
    for (let at = 0; at < padded.length; at += 8) {
      this.store(8, address + at, view.getBigUint64(at, true));
    }
    return this;
  }

  /** The guest: every hart performs the list, or hart 0 alone. */
  program(options: { readonly isForAll?: boolean } = {}): Uint8Array {
    const a = new Assembler({ base: RAM });
    emitPerformer(a, options.isForAll ?? false);
    a.padTo(LIST);
    for (const [operation, address, value] of this.#steps) {
      a.u64(OPERATIONS.indexOf(operation), address, value);
    }
    a.u64(0, 0, 0);
    const { bytes, symbols } = a.assemble();
    return elf64({ entry: RAM, segments: [{ address: RAM, bytes }], symbols });
  }

  /** What the load of step `step` got. */
  static answer(view: MachineView, step: number): bigint {
    return view.memory.readU64(LIST + step * STEP_BYTES + 16) ?? -1n;
  }
}

/** s0 list, s1 operation, s2 address, s3 value, s4 table of operations, s5 times to go round. */
function emitPerformer(a: Assembler, isForAll: boolean): void {
  a.la("t0", "handler");
  a.csrw("mtvec", "t0");
  a.li("t0", 0x6000);
  a.csrs("mstatus", "t0");
  a.csrr("t0", "mhartid");
  if (!isForAll) a.bnez("t0", "park");
  a.li("s5", -1);
  a.label("restart");
  a.li("s0", LIST);
  a.la("s4", "operations");
  a.label("next");
  a.ld("s1", "s0", 0);
  a.ld("s2", "s0", 8);
  a.ld("s3", "s0", 16);
  a.slli("s1", "s1", 4);
  a.add("s1", "s1", "s4");
  a.jr("s1");
  a.label("done");
  a.addi("s0", "s0", STEP_BYTES);
  a.j("next");
  a.alignCode(16);
  a.label("operations");
  emitOperations(a);
  a.label("spinning");
  a.addi("s3", "s3", -1);
  a.bnez("s3", "spinning");
  a.j("done");
  a.label("waiting");
  a.li("t0", -1);
  a.csrw("mie", "t0");
  a.wfi();
  a.j("done");
  a.label("again");
  a.bgez("s5", "counting");
  a.mv("s5", "s3");
  a.label("counting");
  a.addi("s5", "s5", -1);
  a.bgez("s5", "restart");
  a.j("done");
  a.label("end");
  emitPoweroff(a);
  a.label("park");
  a.wfi();
  a.j("park");
  a.alignCode(4);
  a.label("handler"); // every instruction of the list's performer that may trap has four bytes
  a.csrr("t0", "mepc");
  a.addi("t0", "t0", 4);
  a.csrw("mepc", "t0");
  a.mret();
}

/** One per operation, OPERATION_BYTES each. */
function emitOperations(a: Assembler): void {
  const bodies: Record<Operation, () => void> = {
    end: () => a.j("end"),
    store1: () => a.sb("s3", "s2", 0),
    store2: () => a.sh("s3", "s2", 0),
    store4: () => a.sw("s3", "s2", 0),
    store8: () => a.sd("s3", "s2", 0),
    load1: () => answer(() => a.lbu("s3", "s2", 0)),
    load2: () => answer(() => a.lhu("s3", "s2", 0)),
    load4: () => answer(() => a.lwu("s3", "s2", 0)),
    load8: () => answer(() => a.ld("s3", "s2", 0)),
    spin: () => a.j("spinning"),
    wait: () => a.j("waiting"),
    again: () => a.j("again"),
    zero: () => a.cboZero("s2"),
    swap: () => answer(() => a.amoswapD("s3", "s3", "s2")),
  };
  const answer = (load: () => void) => {
    load();
    a.sd("s3", "s0", 16);
  };
  for (const operation of OPERATIONS) {
    bodies[operation]();
    a.j("done");
    a.alignCode(OPERATION_BYTES);
  }
}
