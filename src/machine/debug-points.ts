/**
 * debug-points: break- and watchpoints of one owner: a caller of the API, a gdb session.
 *
 * Used by debugger.ts, which puts those of all owners into the core.
 * Holds   an owner takes its own away and nobody else's; what two owners share stays until both
 *         have let go.
 */
import { BREAKS_MAX, WATCHES_MAX } from "../../assembly/layout.ts";
import type { WatchEntry, WatchKind } from "../core/debug-view.ts";
import { VmError } from "../errors.ts";

const ADDRESS_LAST = (1n << 64n) - 1n;
const WATCH_BYTES_MAX = 1 << 20;
const WATCH_KINDS: readonly WatchKind[] = ["read", "write", "access"];

const hex = (value: bigint) => `0x${value.toString(16)}`;

function checkAddress(what: string, address: bigint): void {
  if (address >= 0n && address <= ADDRESS_LAST) return;
  throw new VmError("bad-argument", `${what} ${address}: accepted are addresses below 2^64`);
}

/** What the points of one owner need of whoever collects them. */
export interface PointsHome {
  /** Break- and watchpoints of all owners, each once. */
  readonly breakpoints: readonly bigint[];
  readonly watchpoints: readonly WatchEntry[];
  apply(): void;
  forget(points: DebugPoints): void;
}

/** True when two watchpoints are the same one. */
export function isSameWatch(one: WatchEntry, other: WatchEntry): boolean {
  const { address, bytes, kind } = one;
  return address === other.address && bytes === other.bytes && kind === other.kind;
}

/** One owner's points. Addresses are virtual, as each hart sees them when it gets there. */
export class DebugPoints {
  readonly #home: PointsHome;
  readonly #breaks = new Set<bigint>();
  readonly #watches: WatchEntry[] = [];

  /** For debugger.ts. */
  constructor(home: PointsHome) {
    this.#home = home;
  }

  get breakpoints(): readonly bigint[] {
    return [...this.#breaks];
  }

  get watchpoints(): readonly WatchEntry[] {
    return [...this.#watches];
  }

  /**
   * Stops every hart before the instruction at `address`. False when it is set already. Throws
   * "bad-argument", or "limit" above 128 addresses.
   */
  setBreakpoint(address: bigint): boolean {
    checkAddress("breakpoint", address);
    if (address % 2n !== 0n) {
      const accepted = "accepted are even addresses: no instruction begins at an odd one";
      throw new VmError("bad-argument", `breakpoint ${hex(address)}: ${accepted}`);
    }
    if (this.#breaks.has(address)) return false;
    const { breakpoints } = this.#home;
    if (breakpoints.length >= BREAKS_MAX && !breakpoints.includes(address)) {
      throw new VmError("limit", `breakpoint ${hex(address)}: at most ${BREAKS_MAX} may be set`);
    }
    this.#breaks.add(address);
    this.#home.apply();
    return true;
  }

  /** False when none is set there. */
  clearBreakpoint(address: bigint): boolean {
    if (!this.#breaks.delete(address)) return false;
    this.#home.apply();
    return true;
  }

  /**
   * Stops a hart behind the instruction that reads or writes any of `bytes` bytes from `address`
   * on. False when the same is set already. Throws "bad-argument", or "limit" above 32.
   */
  setWatchpoint(address: bigint, bytes: number, kind: WatchKind): boolean {
    checkAddress("watchpoint", address);
    const last = address + BigInt(Number.isInteger(bytes) ? bytes : 0) - 1n;
    if (!Number.isInteger(bytes) || bytes < 1 || bytes > WATCH_BYTES_MAX || last > ADDRESS_LAST) {
      const accepted = `accepted are 1 to ${WATCH_BYTES_MAX} below 2^64`;
      throw new VmError("bad-argument", `watchpoint ${hex(address)}, ${bytes} bytes: ${accepted}`);
    }
    if (!WATCH_KINDS.includes(kind)) {
      const accepted = `accepted are ${WATCH_KINDS.join(", ")}`;
      throw new VmError("bad-argument", `watchpoint of kind "${String(kind)}": ${accepted}`);
    }
    const watch = { address, bytes, kind };
    if (this.#watches.some((one) => isSameWatch(one, watch))) return false;
    const { watchpoints } = this.#home;
    if (watchpoints.length >= WATCHES_MAX && !watchpoints.some((one) => isSameWatch(one, watch))) {
      throw new VmError("limit", `watchpoint ${hex(address)}: at most ${WATCHES_MAX} may be set`);
    }
    this.#watches.push(watch);
    this.#home.apply();
    return true;
  }

  /** False when the same is not set. */
  clearWatchpoint(address: bigint, bytes: number, kind: WatchKind): boolean {
    const at = this.#watches.findIndex((one) => isSameWatch(one, { address, bytes, kind }));
    if (at < 0) return false;
    this.#watches.splice(at, 1);
    this.#home.apply();
    return true;
  }

  /** Takes all of them away. */
  clear(): void {
    this.#breaks.clear();
    this.#watches.length = 0;
    this.#home.apply();
  }

  /** Takes all of them away for good. */
  close(): void {
    this.#breaks.clear();
    this.#watches.length = 0;
    this.#home.forget(this);
  }
}
