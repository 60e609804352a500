/**
 * reference: what loads, stores, fetches, atomics and CSR writes do when every one of them walks
 * the page tables anew: no TLB, no decode cache, no table of frames; one flat array is the RAM.
 *
 * Owns    its own copy of guest memory and of the harts' translation state.
 * Used by the suites of this folder, which compare each step of the core with it.
 * Holds   a step that traps has changed nothing but A and D bits.
 */

export const RAM = 0x8000_0000n;
export const MASK = 0xffff_ffff_ffff_ffffn;

export const PTE = { V: 1n, R: 2n, W: 4n, X: 8n, U: 16n, G: 32n, A: 64n, D: 128n } as const;
export const MSTATUS = { MPRV: 1n << 17n, SUM: 1n << 18n, MXR: 1n << 19n } as const;
export const ADUE = 1n << 61n;
export const CBZE = 1n << 7n;
export const PRIV = { U: 0, S: 1, M: 3 } as const;
export const NO_RESERVATION = MASK;

const PTE_PPN = 0x003f_ffff_ffff_fc00n;
const ADDRESS_ONES = 0x3f_ffff_ffff_ffffn;
const PTE_RESERVED = 0xffc0_0000_0000_0000n;

export type Access = "load" | "store" | "fetch";

/** What became of one instruction. */
export type Outcome =
  | { readonly kind: "done"; readonly value: bigint | null }
  | { readonly kind: "trap"; readonly cause: number; readonly value: bigint };

/** The state of one hart that decides what an access does. */
export interface HartState {
  priv: number;
  mstatus: bigint;
  menvcfg: bigint;
  satp: bigint;
  readonly pmpConfig: number[];
  readonly pmpAddress: bigint[];
  /** Physical address of the LR reservation, or NO_RESERVATION. */
  reservation: bigint;
}

/** A trap on its way out of a step. */
class Fault {
  readonly cause: number;
  readonly value: bigint;
  constructor(cause: number, value: bigint) {
    this.cause = cause;
    this.value = value;
  }
}

const PAGE_FAULT = { load: 13, store: 15, fetch: 12 } as const;
const ACCESS_FAULT = { load: 5, store: 7, fetch: 1 } as const;
const RIGHT = { load: 1, store: 2, fetch: 4 } as const;

/** A hart as firmware leaves it: everything open to every mode. */
export function openHart(): HartState {
  return {
    priv: PRIV.M,
    mstatus: 0n,
    menvcfg: CBZE | ADUE,
    satp: 0n,
    pmpConfig: [0x1f, ...Array<number>(15).fill(0)],
    pmpAddress: [0x3f_ffff_ffff_ffffn, ...Array<bigint>(15).fill(0n)],
    reservation: NO_RESERVATION,
  };
}

/** Memory and harts. */
export class Reference {
  readonly ram: Uint8Array;
  readonly harts: readonly HartState[];
  readonly #view: DataView;
  /** Old doublewords that A and D updates replaced, while someone peeks. */
  #undo: (readonly [physical: bigint, old: bigint])[] | null = null;

  constructor(ramBytes: number, harts: number) {
    this.ram = new Uint8Array(ramBytes);
    this.#view = new DataView(this.ram.buffer);
    this.harts = Array.from({ length: harts }, openHart);
  }

  isRam(physical: bigint): boolean {
    return physical >= RAM && physical < RAM + BigInt(this.ram.length);
  }

  read(physical: bigint, bytes: number): bigint {
    let value = 0n;
    for (let index = bytes - 1; index >= 0; index--) {
      value = (value << 8n) | BigInt(this.ram[Number(physical - RAM) + index]);
    }
    return value;
  }

  read64(physical: bigint): bigint {
    return this.#view.getBigUint64(Number(physical - RAM), true);
  }

  write(physical: bigint, bytes: number, value: bigint): void {
    for (let index = 0; index < bytes; index++) {
      this.ram[Number(physical - RAM) + index] = Number((value >> BigInt(index * 8)) & 0xffn);
    }
  }

  /** A write by another agent ends the reservations in the page. */
  dma(physical: bigint, data: Uint8Array): void {
    this.ram.set(data, Number(physical - RAM));
    for (const hart of this.harts) {
      if (hart.reservation >> 12n === physical >> 12n) hart.reservation = NO_RESERVATION;
    }
  }

  // ---- physical memory protection: Privileged 3.7.1 ----

  #pmpRange(hart: HartState, entry: number): readonly [first: bigint, end: bigint] {
    const address = hart.pmpAddress[entry] << 2n;
    const mode = (hart.pmpConfig[entry] >> 3) & 3;
    if (mode === 1) return [entry === 0 ? 0n : hart.pmpAddress[entry - 1] << 2n, address];
    if (mode === 2) return [address, address + 4n];
    // All ones cover whatever an address register can name, so also what has no physical address at
    // all.
    if (hart.pmpAddress[entry] === ADDRESS_ONES) return [0n, MASK + 1n];
    let bytes = 8n;
    for (let bit = hart.pmpAddress[entry]; (bit & 1n) === 1n; bit >>= 1n) bytes *= 2n;
    const first = address & ~(bytes - 1n);
    return [first, first + bytes];
  }

  pmpAllows(
    hart: HartState,
    physical: bigint,
    bytes: number,
    access: Access,
    priv: number,
  ): boolean {
    for (let entry = 0; entry < 16; entry++) {
      const config = hart.pmpConfig[entry];
      if ((config & 0x18) === 0) continue;
      const [first, end] = this.#pmpRange(hart, entry);
      const last = physical + BigInt(bytes);
      if (last <= first || physical >= end) continue;
      if (physical < first || last > end) return false;
      return priv === PRIV.M || (config & RIGHT[access]) !== 0;
    }
    return priv === PRIV.M;
  }

  // ---- translation: Privileged 4.3.2 ----

  /** The physical address behind `va`; sets A and D. Throws a Fault. */
  #walk(hart: HartState, va: bigint, access: Access, priv: number): bigint {
    const mode = Number(hart.satp >> 60n);
    if (priv === PRIV.M || mode === 0) return va;
    const levels = mode - 5;
    const pageFault = new Fault(PAGE_FAULT[access], va);
    const accessFault = new Fault(ACCESS_FAULT[access], va);
    if ((BigInt.asIntN(12 + 9 * levels, va) & MASK) !== va) throw pageFault;
    let table = (hart.satp & 0xfff_ffff_ffffn) << 12n;
    for (let level = levels - 1; level >= 0; level--) {
      const shift = BigInt(12 + 9 * level);
      const at = table + ((va >> shift) & 511n) * 8n;
      if (!this.isRam(at)) throw accessFault;
      if (!this.pmpAllows(hart, at, 8, "load", PRIV.S)) throw accessFault;
      const pte = this.read64(at);
      const isWithoutRead = (pte & (PTE.R | PTE.W)) === PTE.W;
      if ((pte & PTE.V) === 0n || isWithoutRead || (pte & PTE_RESERVED) !== 0n) throw pageFault;
      table = (pte & PTE_PPN) << 2n;
      if ((pte & (PTE.R | PTE.X)) === 0n) {
        if ((pte & (PTE.A | PTE.D | PTE.U)) !== 0n) throw pageFault;
        continue;
      }
      const span = (1n << shift) - 1n;
      if (!this.#leafAllows(hart, pte, access, priv) || (table & span) !== 0n) throw pageFault;
      const wanted = access === "store" ? PTE.A | PTE.D : PTE.A;
      if ((pte & wanted) !== wanted) {
        if ((hart.menvcfg & ADUE) === 0n) throw pageFault;
        if (!this.pmpAllows(hart, at, 8, "store", PRIV.S)) throw accessFault;
        this.#undo?.push([at, pte]);
        this.write(at, 8, pte | wanted);
      }
      return table | (va & span);
    }
    throw pageFault;
  }

  #leafAllows(hart: HartState, pte: bigint, access: Access, priv: number): boolean {
    const isUser = (pte & PTE.U) !== 0n;
    if (priv === PRIV.U && !isUser) return false;
    const hasSum = (hart.mstatus & MSTATUS.SUM) !== 0n;
    if (priv === PRIV.S && isUser && (access === "fetch" || !hasSum)) return false;
    if (access === "fetch") return (pte & PTE.X) !== 0n;
    if (access === "store") return (pte & PTE.W) !== 0n;
    const readable = (hart.mstatus & MSTATUS.MXR) !== 0n ? PTE.R | PTE.X : PTE.R;
    return (pte & readable) !== 0n;
  }

  #dataPriv(hart: HartState): number {
    if (hart.priv !== PRIV.M || (hart.mstatus & MSTATUS.MPRV) === 0n) return hart.priv;
    return Number((hart.mstatus >> 11n) & 3n);
  }

  /** Where the bytes of an access lie: one piece, or two when it crosses a page. Throws a Fault. */
  #locate(
    hart: HartState,
    va: bigint,
    bytes: number,
    access: Access,
    priv: number,
  ): { physical: bigint; bytes: number }[] {
    const inPage = 4096 - Number(va & 0xfffn);
    const pieces =
      bytes <= inPage
        ? [{ va, bytes }]
        : [
            { va, bytes: inPage },
            { va: (va + BigInt(inPage)) & MASK, bytes: bytes - inPage },
          ];
    const found = pieces.map((piece) => {
      const physical = this.#walk(hart, piece.va, access, priv);
      if (!this.pmpAllows(hart, physical, piece.bytes, access, priv)) {
        throw new Fault(ACCESS_FAULT[access], piece.va);
      }
      return { physical, bytes: piece.bytes, va: piece.va };
    });
    for (const { physical, va: at } of found) {
      if (!this.isRam(physical)) throw new Fault(ACCESS_FAULT[access], at);
    }
    return found;
  }

  #load(hart: HartState, va: bigint, bytes: number): bigint {
    let value = 0n;
    let shift = 0n;
    for (const piece of this.#locate(hart, va, bytes, "load", this.#dataPriv(hart))) {
      value |= this.read(piece.physical, piece.bytes) << shift;
      shift += BigInt(piece.bytes * 8);
    }
    return value;
  }

  #store(hart: HartState, va: bigint, bytes: number, value: bigint): void {
    let rest = value;
    for (const piece of this.#locate(hart, va, bytes, "store", this.#dataPriv(hart))) {
      this.write(piece.physical, piece.bytes, rest);
      rest >>= BigInt(piece.bytes * 8);
    }
  }

  #aligned(va: bigint, bytes: number, cause: number): void {
    if (va % BigInt(bytes) !== 0n) throw new Fault(cause, va);
  }

  /** Word results are sign-extended. */
  #extend(value: bigint, bytes: number): bigint {
    return bytes === 4 ? BigInt.asIntN(32, value) & MASK : value;
  }

  // ---- what an instruction does; each throws a Fault or returns the result ----

  load(hart: HartState, va: bigint, bytes: number): bigint {
    return this.#load(hart, va, bytes);
  }

  store(hart: HartState, va: bigint, bytes: number, value: bigint): null {
    this.#store(hart, va, bytes, value);
    return null;
  }

  zeroBlock(hart: HartState, va: bigint): null {
    try {
      this.#store(hart, va & ~63n, 64, 0n);
    } catch (fault) {
      // the fault names the address that was given, not the block's
      throw fault instanceof Fault ? new Fault(fault.cause, va) : fault;
    }
    return null;
  }

  loadReserved(hart: HartState, va: bigint, bytes: number): bigint {
    this.#aligned(va, bytes, 4);
    const [piece] = this.#locate(hart, va, bytes, "load", this.#dataPriv(hart));
    hart.reservation = piece.physical;
    return this.#extend(this.read(piece.physical, bytes), bytes);
  }

  storeConditional(hart: HartState, va: bigint, bytes: number, value: bigint): bigint {
    this.#aligned(va, bytes, 6);
    const [piece] = this.#locate(hart, va, bytes, "store", this.#dataPriv(hart));
    const isHeld = hart.reservation === piece.physical;
    hart.reservation = NO_RESERVATION;
    if (!isHeld) return 1n;
    this.write(piece.physical, bytes, value);
    return 0n;
  }

  amo(hart: HartState, va: bigint, bytes: number, combine: (old: bigint) => bigint): bigint {
    this.#aligned(va, bytes, 6);
    const [piece] = this.#locate(hart, va, bytes, "store", this.#dataPriv(hart));
    const old = this.read(piece.physical, bytes);
    this.write(piece.physical, bytes, combine(old));
    return this.#extend(old, bytes);
  }

  /** The bits of the instruction at `pc`: 16 or 32 of them. */
  fetch(hart: HartState, pc: bigint): number {
    const half = (at: bigint): number => {
      const [piece] = this.#locate(hart, at, 2, "fetch", hart.priv);
      return Number(this.read(piece.physical, 2));
    };
    const low = half(pc);
    return (low & 3) === 3 ? low + half((pc + 2n) & MASK) * 0x1_0000 : low;
  }

  /** What `body`, which stores nothing, returns; the A and D bits that it sets are taken back. */
  peek<T>(body: () => T): T {
    this.#undo = [];
    try {
      return body();
    } finally {
      for (const [physical, old] of this.#undo.reverse()) this.write(physical, 8, old);
      this.#undo = null;
    }
  }

  /** Runs `body`; a Fault becomes the outcome. */
  attempt(body: () => bigint | null): Outcome {
    try {
      return { kind: "done", value: body() };
    } catch (fault) {
      if (fault instanceof Fault) return { kind: "trap", cause: fault.cause, value: fault.value };
      throw fault;
    }
  }

  /** An illegal-instruction trap. */
  illegal(bits: number): never {
    throw new Fault(2, BigInt(bits));
  }
}
