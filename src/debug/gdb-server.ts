/**
 * gdb-server: takes connections of gdb, one at a time, whatever carries them.
 *
 * Owns    the session. Used by the shell, by embedders.
 */
import { VmError } from "../errors.ts";
import { GdbSession, type GdbTarget } from "./gdb-session.ts";
import type { GdbPeer } from "./peer.ts";

/** How a server finds its machine and tells what happens. */
export interface GdbServerOptions {
  /** The machine that the next gdb gets. Throws VmError when there is none. */
  target(): GdbTarget;
  /** Lines for people: who came, who was turned away. */
  say?(text: string): void;
}

/** A server for one machine. */
export class GdbServer {
  readonly #options: GdbServerOptions;
  #session: GdbSession | null = null;
  #isClosed = false;

  constructor(options: GdbServerOptions) {
    this.#options = options;
  }

  /** True while a gdb is attached. */
  get isAttached(): boolean {
    return this.#session !== null;
  }

  /** Attaches a peer: the machine stands from now on. A second one is turned away. */
  accept(peer: GdbPeer): void {
    const refuse = (why: string) => {
      this.#options.say?.(`gdb: turned away: ${why}`);
      peer.close();
    };
    if (this.#isClosed) {
      refuse("the server is closed");
      return;
    }
    if (this.#session !== null) {
      refuse("another gdb is attached");
      return;
    }
    try {
      const target = this.#options.target();
      const { machine } = target;
      if (machine.state !== "running" && machine.state !== "paused") {
        refuse(`${machine.name} is ${machine.state}`);
        return;
      }
      const session = new GdbSession(peer, target, () => {
        this.#session = null;
        this.#options.say?.(`gdb: detached from ${machine.name}`);
      });
      if (session.isOver) return;
      this.#session = session;
      this.#options.say?.(`gdb: attached to ${machine.name}`);
    } catch (error) {
      if (!(error instanceof VmError)) throw error;
      refuse(error.message);
    }
  }

  /** Ends the session under way and takes no more. */
  close(): void {
    this.#isClosed = true;
    this.#session?.close();
  }
}
