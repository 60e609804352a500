/**
 * input-throttle: stops reading input while the guest has more waiting than it will take for long.
 *
 * Used by attach.ts and commands/run.ts.
 */

/** Input that waits for the guest before reading stops. */
const INPUT_BYTES_MAX = 16 << 20;
/** How often to look whether it may go on. */
const LOOK_MS = 50;

/** What is needed of machine, streams and world. */
export interface ThrottleParts {
  inputPending(): number;
  holdInput(isHeld: boolean): void;
  after(ms: number, wake: () => void): () => void;
}

/** `check` after every piece of input; `end` once, which lets reading go on. */
export function throttleInput(parts: ThrottleParts): { check(): void; end(): void } {
  let cancel: (() => void) | null = null;
  const look = () => {
    cancel = null;
    if (parts.inputPending() > INPUT_BYTES_MAX / 2) cancel = parts.after(LOOK_MS, look);
    else parts.holdInput(false);
  };
  return {
    check() {
      if (cancel !== null || parts.inputPending() <= INPUT_BYTES_MAX) return;
      parts.holdInput(true);
      cancel = parts.after(LOOK_MS, look);
    },
    end() {
      if (cancel === null) return;
      cancel();
      parts.holdInput(false);
    },
  };
}
