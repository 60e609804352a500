/**
 * pipe: links inside one process that neither lose nor delay anything, for tests of what is said
 * over them.
 *
 * Used by the suites of test/migration/.
 */
import { VmError } from "../../src/errors.ts";
import type { ByteLink, LinkDoor, LinkListener } from "../../src/platform/link.ts";

class Pipe implements ByteLink {
  readonly peer: string;
  other: Pipe | null = null;
  #listener: ((bytes: Uint8Array) => void | Promise<void>) | null = null;
  #onClose: (why: string) => void = () => {};
  #closed: string | null = null;
  #turn: Promise<void> = Promise.resolve();
  #hasListener: () => void = () => {};
  readonly #ready = new Promise<void>((resolve) => {
    this.#hasListener = resolve;
  });

  constructor(peer: string) {
    this.peer = peer;
  }

  send(pieces: readonly Uint8Array[]): Promise<void> {
    const { other } = this;
    if (this.#closed !== null || other === null) {
      return Promise.reject(new VmError("io", `the link to ${this.peer} is closed`));
    }
    const work = this.#turn.then(async () => {
      await other.#ready;
      for (const piece of pieces) await other.#listener?.(piece.slice());
    });
    this.#turn = work.catch(() => {});
    return work;
  }

  onBytes(listener: (bytes: Uint8Array) => void | Promise<void>): void {
    this.#listener = listener;
    this.#hasListener();
  }

  onClose(listener: (why: string) => void): void {
    this.#onClose = listener;
    if (this.#closed !== null) listener(this.#closed);
  }

  close(): void {
    if (this.#closed !== null) return;
    this.#closed = "closed here";
    this.#hasListener();
    this.#listener = null;
    this.#onClose(this.#closed);
    this.other?.close();
  }
}

/** A door for every process of a test. */
export class PipeDoor implements LinkDoor {
  readonly #doors = new Map<string, (link: ByteLink) => void>();
  readonly #links: ByteLink[] = [];
  #count = 0;
  /** Nobody gets through. */
  isDown = false;

  async dial(address: string): Promise<ByteLink> {
    const onLink = this.#doors.get(address);
    if (onLink === undefined || this.isDown) throw new VmError("io", `${address}: nobody answers`);
    const [here, there] = [new Pipe(address), new Pipe(`pipe:caller-${++this.#count}`)];
    here.other = there;
    there.other = here;
    this.#links.push(here);
    onLink(there);
    return here;
  }

  /** Every link there is breaks. */
  cut(): void {
    for (const link of this.#links.splice(0)) link.close();
  }

  async listen(address: string, onLink: (link: ByteLink) => void): Promise<LinkListener> {
    this.#doors.set(address, onLink);
    return { address, close: async () => void this.#doors.delete(address) };
  }
}
