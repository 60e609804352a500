/**
 * gdb-registers: registers by gdb's numbers, as the hex of their bytes.
 *
 * Used by gdb-session.ts.
 * Holds   every register is 64 bits, lowest byte first; one that is not there reads as x's.
 */
import { PRIV_M, PRIV_S, PRIV_U } from "../core/hart-view.ts";
import type { Debugger } from "../machine/debugger.ts";
import { fromHex } from "./packet.ts";
import {
  GENERAL_COUNT,
  NUMBER_CSR,
  NUMBER_F,
  NUMBER_PC,
  NUMBER_PRIV,
} from "./target-description.ts";

const REGISTER_DIGITS = 16;
const UNAVAILABLE = "x".repeat(REGISTER_DIGITS);
const PRIVILEGES = { U: PRIV_U, S: PRIV_S, M: PRIV_M } as const;

/** A register's value as gdb reads it. */
export function registerHex(value: bigint): string {
  const digits = value.toString(16).padStart(REGISTER_DIGITS, "0");
  return (digits.match(/../g) ?? []).reverse().join("");
}

/** The value of a register's hex; null when it is not 8 bytes. */
function registerValue(hex: string): bigint | null {
  const bytes = fromHex(hex);
  if (bytes === null || bytes.length !== REGISTER_DIGITS / 2) return null;
  return new DataView(bytes.buffer).getBigUint64(0, true);
}

/** Register `number` of a hart. */
export function readRegister(from: Debugger, hart: number, number: number): string {
  if (number < NUMBER_CSR || number === NUMBER_PRIV) {
    const registers = from.registers(hart);
    if (number < NUMBER_PC) return registerHex(registers.x[number]);
    if (number === NUMBER_PC) return registerHex(registers.pc);
    if (number < NUMBER_CSR) return registerHex(registers.f[number - NUMBER_F]);
    return registerHex(BigInt(PRIVILEGES[registers.privilege]));
  }
  if (number > NUMBER_PRIV) return UNAVAILABLE;
  const value = from.csr(hart, number - NUMBER_CSR);
  return value === null ? UNAVAILABLE : registerHex(value);
}

/** Writes register `number` of a hart. False when gdb sent no register; throws VmError. */
export function writeRegister(to: Debugger, hart: number, number: number, hex: string): boolean {
  const value = registerValue(hex);
  if (value === null || number > NUMBER_PRIV) return false;
  if (number < NUMBER_PC) to.setRegister(hart, `x${number}`, value);
  else if (number === NUMBER_PC) to.setRegister(hart, "pc", value);
  else if (number < NUMBER_CSR) to.setRegister(hart, `f${number - NUMBER_F}`, value);
  else if (number === NUMBER_PRIV) to.setRegister(hart, "priv", value);
  else to.setCsr(hart, number - NUMBER_CSR, value);
  return true;
}

/** x0 to x31 and pc of a hart. */
export function readGeneral(from: Debugger, hart: number): string {
  const { x, pc } = from.registers(hart);
  return [...x, pc].map(registerHex).join("");
}

/** Writes x0 to x31 and pc of a hart; false when gdb sent less. */
export function writeGeneral(to: Debugger, hart: number, hex: string): boolean {
  if (hex.length < GENERAL_COUNT * REGISTER_DIGITS) return false;
  for (let number = 0; number < GENERAL_COUNT; number++) {
    const at = number * REGISTER_DIGITS;
    if (!writeRegister(to, hart, number, hex.slice(at, at + REGISTER_DIGITS))) return false;
  }
  return true;
}
