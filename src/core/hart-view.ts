/**
 * hart-view: the control plane's window on one hart block. See HART_* in assembly/layout.ts.
 *
 * Used by machine/boot.ts, machine/sbi.ts, the debugger and tests.
 * Holds   a hart is looked at only between runs; whoever changes pc, privilege, satp, PMP or
 *         floating-point state calls `machineSync` before the next run.
 */
import {
  HART_DIGEST_BYTES,
  HART_F,
  HART_HSM,
  HART_ID,
  HART_MIP_SOFT,
  HART_MSTATUS,
  HART_PC,
  HART_PRIV,
  HART_RETIRED,
  HART_WAITING,
  HART_X,
} from "../../assembly/layout.ts";
import { BlockView } from "./block-view.ts";

export const PRIV_U = 0;
export const PRIV_S = 1;
export const PRIV_M = 3;

/** Bits of mstatus: S-mode, M-mode take interrupts. */
export const MSTATUS_SIE = 0x2n;
const MSTATUS_MIE = 0x8n;

/** States of SBI HSM as HART_HSM holds them. */
export const HSM_STARTED = 0;
export const HSM_STOPPED = 1;

/**
 * One hart's registers. CSRs without an accessor here go through get64 and set64 with their offset.
 */
export class HartView extends BlockView {
  get id(): number {
    return this.get32(HART_ID);
  }

  get pc(): bigint {
    return this.get64(HART_PC);
  }

  set pc(value: bigint) {
    this.set64(HART_PC, value);
  }

  get privilege(): number {
    return this.get32(HART_PRIV);
  }

  set privilege(value: number) {
    this.set32(HART_PRIV, value);
  }

  /** Integer register `index`. */
  x(index: number): bigint {
    return this.get64(HART_X + index * 8);
  }

  /** Sets integer register `index`; x0 stays 0. */
  setX(index: number, value: bigint): void {
    if (index !== 0) this.set64(HART_X + index * 8, BigInt.asUintN(64, value));
  }

  /** Floating-point register `index` as its 64 bits. */
  f(index: number): bigint {
    return this.get64(HART_F + index * 8);
  }

  setF(index: number, value: bigint): void {
    this.set64(HART_F + index * 8, BigInt.asUintN(64, value));
  }

  /** Integer register `index` as a number, or Infinity above 2^53: for addresses and lengths. */
  xNumber(index: number): number {
    const value = this.getNumber(HART_X + index * 8);
    return value <= Number.MAX_SAFE_INTEGER ? value : Number.POSITIVE_INFINITY;
  }

  get retired(): number {
    return this.getNumber(HART_RETIRED);
  }

  get isWaiting(): boolean {
    return this.get32(HART_WAITING) !== 0;
  }

  set isWaiting(value: boolean) {
    this.set32(HART_WAITING, value ? 1 : 0);
  }

  get hsm(): number {
    return this.get32(HART_HSM);
  }

  set hsm(value: number) {
    this.set32(HART_HSM, value);
  }

  /** True while it runs with interrupts of its own privilege masked: in a handler, for one. */
  get isMasked(): boolean {
    const { privilege } = this;
    if (privilege === PRIV_U || this.isWaiting || this.hsm !== HSM_STARTED) return false;
    const enabled = privilege === PRIV_M ? MSTATUS_MIE : MSTATUS_SIE;
    return (this.get64(HART_MSTATUS) & enabled) === 0n;
  }

  /** Raises bits of mip that software sets (SSIP and the like). */
  raiseSoft(bits: bigint): void {
    this.set64(HART_MIP_SOFT, this.get64(HART_MIP_SOFT) | bits);
  }

  /** The part of the block that is state: what a digest covers. */
  stateBytes(): Uint8Array {
    return this.bytesAt(0, HART_DIGEST_BYTES);
  }
}
