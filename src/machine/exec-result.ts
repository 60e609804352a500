/**
 * exec-result: what a command in a guest came to, and its output as far as it is kept.
 *
 * Owns    the types. Used by machine/exec.ts and both ways by which commands get there.
 */

/** How a command in the guest went. */
export interface ExecResult {
  /** Its exit status; 128 + number when a signal ended it, as shells say it. */
  readonly status: number;
  /** The signal that ended it, such as "SIGKILL", where that is known: see machine/exec.ts. */
  readonly signal?: string;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** Output beyond `outputBytesMax` was dropped. */
  readonly isTruncated: boolean;
  /** It was killed because `timeoutMs` had passed. */
  readonly isTimedOut: boolean;
}

/** Linux's signals from 1 on, as riscv numbers them. */
const SIGNALS =
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP " +
  "TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";

/** "SIGKILL" for 9; "SIG40" for one without a name. */
export function signalName(number: number): string {
  return `SIG${SIGNALS.split(" ")[number - 1] ?? number}`;
}

/** The first bytes of a stream, and whether there were more. */
export class OutputCollector {
  readonly #limit: number;
  #bytes = new Uint8Array(0);
  #length = 0;
  #isTruncated = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isTruncated(): boolean {
    return this.#isTruncated;
  }

  /** What was kept. */
  get bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Keeps `bytes`, as far as they fit. */
  add(bytes: Uint8Array): void {
    const kept = bytes.subarray(0, this.#limit - this.#length);
    if (kept.length < bytes.length) this.#isTruncated = true;
    const length = this.#length + kept.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(this.#limit, Math.max(length, this.#length * 2)));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(kept, this.#length);
    this.#length = length;
  }
}
