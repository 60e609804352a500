/**
 * keys: the terminal's escape key, Ctrl-A, as QEMU's -nographic has it.
 *
 * Owns    whether the last byte was Ctrl-A.
 * Used by commands/run.ts.
 */

const CTRL_A = 0x01;
const HELP = "Ctrl-A X  leave\r\nCtrl-A H  this help\r\nCtrl-A Ctrl-A  send Ctrl-A\r\n";

/** Where keys lead. */
export interface KeyActions {
  send(bytes: Uint8Array): void;
  leave(): void;
  /** Text for the person at the terminal. */
  say(text: string): void;
}

/** Sorts what is typed into the guest's and ours. */
export class TerminalKeys {
  readonly #actions: KeyActions;
  #isPrefixed = false;

  constructor(actions: KeyActions) {
    this.#actions = actions;
  }

  /** Takes typed bytes, in pieces of any size. */
  take(bytes: Uint8Array): void {
    const plain: number[] = [];
    const flush = () => {
      if (plain.length > 0) this.#actions.send(Uint8Array.from(plain.splice(0)));
    };
    for (const byte of bytes) {
      if (!this.#isPrefixed) {
        if (byte === CTRL_A) this.#isPrefixed = true;
        else plain.push(byte);
        continue;
      }
      this.#isPrefixed = false;
      const key = String.fromCharCode(byte).toLowerCase();
      if (byte === CTRL_A) plain.push(CTRL_A);
      else if (key === "x") {
        flush();
        this.#actions.leave();
        return;
      } else {
        flush();
        this.#actions.say(`\r\n${key === "h" || key === "?" ? "" : "unknown key; "}${HELP}`);
      }
    }
    flush();
  }
}
