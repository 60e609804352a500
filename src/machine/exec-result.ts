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

/** A stream that a command writes to. */
export type OutputStream = "stdout" | "stderr";

/**
 * Takes output. A promise that it gives back holds the command's output back, in the guest, until
 * it settles.
 */
export type OutputListener = (bytes: Uint8Array, stream: OutputStream) => void | Promise<void>;

/** What is to be done with a command's output. */
export interface OutputRequest {
  /** Kept of each stream, or handed on; the rest is dropped. */
  readonly outputBytesMax: number;
  /** Takes the output, instead of its being kept. */
  readonly onOutput?: OutputListener;
}

/** The first bytes of a stream, kept or handed on, and whether there were more. */
export class OutputCollector {
  readonly #limit: number;
  readonly #onOutput: OutputListener | undefined;
  readonly #stream: OutputStream;
  #taken: Promise<unknown> = Promise.resolve();
  #bytes = new Uint8Array(0);
  #length = 0;
  #isTruncated = false;

  constructor({ outputBytesMax, onOutput }: OutputRequest, stream: OutputStream) {
    this.#limit = outputBytesMax;
    this.#onOutput = onOutput;
    this.#stream = stream;
  }

  get isTruncated(): boolean {
    return this.#isTruncated;
  }

  /** What was kept. */
  get bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#onOutput === undefined ? this.#length : 0);
  }

  /** Settles when everything that was handed on has been taken. */
  get taken(): Promise<unknown> {
    return this.#taken;
  }

  /**
   * Keeps `bytes`, or hands them on, as far as they fit; a promise when they are not taken yet.
   * Throws what the taker throws.
   */
  add(bytes: Uint8Array): void | Promise<void> {
    const kept = bytes.subarray(0, this.#limit - this.#length);
    if (kept.length < bytes.length) this.#isTruncated = true;
    if (kept.length === 0) return;
    if (this.#onOutput === undefined) {
      this.#keep(kept);
      return;
    }
    this.#length += kept.length;
    const taken = this.#onOutput(kept, this.#stream);
    if (taken === undefined) return;
    this.#taken = Promise.all([this.#taken, taken]);
    this.#taken.catch(() => {}); // told to whoever asks
    return taken;
  }

  #keep(kept: Uint8Array): void {
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
