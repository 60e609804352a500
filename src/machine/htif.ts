/**
 * htif: the host-target interface of bare-metal test programs: a doubleword `tohost` that the guest
 * stores commands in.
 *
 * Owns    nothing; tohost and fromhost are guest memory.
 * Used by runner.ts on EXIT_HTIF.
 * Holds   a command is taken once: tohost is zero again before the guest goes on. Whatever the
 *         command and the program's symbols say, what is not in RAM is neither read nor written.
 *
 *   tohost  63-56 device | 55-48 command | 47-0 payload
 *           device 0: bit 0 set → exit with payload >> 1; clear → address of a system call's 8
 *           doublewords
 *           device 1: command 1 → print the low byte
 */
import type { MachineView } from "../core/machine-view.ts";

/** Where the program keeps its two doublewords. */
export interface HtifSymbols {
  readonly tohost: number;
  /** 0 when the program has none. */
  readonly fromhost: number;
}

const SYS_WRITE = 64n;
const SYS_EXIT = 93n;
const ENOSYS = 38n;
const EBADF = 9n;
const EFAULT = 14n;
const WRITE_BYTES_MAX = 1 << 20;

/** Serves one machine's HTIF. */
export class Htif {
  readonly #view: MachineView;
  readonly #symbols: HtifSymbols;
  readonly #put: (bytes: Uint8Array) => void;

  /** `put` receives console output. */
  constructor(view: MachineView, symbols: HtifSymbols, put: (bytes: Uint8Array) => void) {
    this.#view = view;
    this.#symbols = symbols;
    this.#put = put;
  }

  /** Where the program has told that it speaks HTIF. */
  get symbols(): HtifSymbols {
    return this.#symbols;
  }

  /**
   * Serves what tohost holds. The exit code when the guest is done; "memory" when frames for the
   * answer are short, "page" when one that takes part is not here, and the same command is to be
   * served again; else null.
   */
  serve(): number | "memory" | "page" | null {
    const { memory } = this.#view;
    const command = memory.readU64(this.#symbols.tohost);
    if (command === null) return memory.isAbsent ? "page" : null;
    if (command === 0n) return null;
    const device = command >> 56n;
    const payload = command & 0xffff_ffff_ffffn;
    if (device === 0n && (payload & 1n) === 1n) return clampCode(payload >> 1n);
    const answers = [this.#symbols.fromhost, device === 0n ? Number(payload) : 0];
    const isShort = (at: number) => memory.contains(at, 8) && !memory.reserve(at, 8);
    if (answers.some(isShort)) return memory.isAbsent ? "page" : "memory";
    if (device === 0n && !this.#isTextHere(Number(payload))) return "page";
    memory.writeU64(this.#symbols.tohost, 0n);
    if (device === 0n) return this.#call(Number(payload));
    if (device === 1n && ((command >> 48n) & 0xffn) === 1n) {
      this.#put(Uint8Array.of(Number(payload & 0xffn)));
      this.#answer(command & 0xffff_0000_0000_0000n);
    }
    return null;
  }

  /** True unless a page with what is to be written, or with the call itself, is not here. */
  #isTextHere(at: number): boolean {
    const { memory } = this.#view;
    const words = new BigUint64Array(4);
    if (!memory.read(at, new Uint8Array(words.buffer))) return !memory.isAbsent;
    const [, , address, bytes] = words;
    if (words[0] !== SYS_WRITE || !isText(address, bytes)) return true;
    return memory.read(Number(address), new Uint8Array(Number(bytes))) || !memory.isAbsent;
  }

  #answer(value: bigint): void {
    if (this.#symbols.fromhost !== 0) this.#view.memory.writeU64(this.#symbols.fromhost, value);
  }

  /** A proxied system call: number, three arguments; the result replaces the number. */
  #call(at: number): number | null {
    const { memory } = this.#view;
    const words = new BigUint64Array(8);
    if (!memory.read(at, new Uint8Array(words.buffer))) return null;
    if (words[0] === SYS_EXIT) return clampCode(words[1] & 0xffff_ffffn);
    const result = words[0] === SYS_WRITE ? this.#write(words) : -ENOSYS;
    memory.writeU64(at, BigInt.asUintN(64, result));
    this.#answer(1n);
    return null;
  }

  #write(words: BigUint64Array): bigint {
    const [, file, address, bytes] = words;
    if (file !== 1n && file !== 2n) return -EBADF;
    if (!isText(address, bytes)) return -EFAULT;
    const text = new Uint8Array(Number(bytes));
    if (!this.#view.memory.read(Number(address), text)) return -EFAULT;
    this.#put(text);
    return bytes;
  }
}

/** True for bytes that a write takes, should they lie in RAM. */
function isText(address: bigint, bytes: bigint): boolean {
  return bytes <= BigInt(WRITE_BYTES_MAX) && address <= BigInt(Number.MAX_SAFE_INTEGER);
}

/** Exit codes are 32 bits wide at most, so that a number holds them. */
function clampCode(code: bigint): number {
  return code > 0x7fff_ffffn ? 0x7fff_ffff : Number(code);
}
