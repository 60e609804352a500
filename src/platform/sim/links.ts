/**
 * links: connections between simulated processes, over simulated time: slow, and as faulty as a
 * test asks for.
 *
 * Owns    who listens where, the links that are open, what is on its way.
 * Used by tests of migration.
 * Holds   everything that happens follows from the order of calls and from what `fault` answers: a
 *         run can be repeated. A process that was killed hears nothing any more. As on a real link,
 *         bytes come in order; a chunk that is lost, doubled or swapped is what a faulty peer or
 *         network layer would make of it, and whoever reads has to find out.
 */
import { VmError } from "../../errors.ts";
import type { Platform } from "../contract.ts";
import type { ByteLink, LinkDoor, LinkListener } from "../link.ts";
import { joined } from "./joined.ts";

/** What becomes of one chunk: what was given to one `send`. */
export type LinkFault =
  /** It never comes. */
  | "lose"
  /** It comes twice. */
  | "double"
  /** The next one of the same direction comes before it. */
  | "swap"
  /** The link is cut in front of it. */
  | "cut"
  /** The link is cut within it. */
  | "cut-within"
  /** The link is cut behind it: it comes, and no answer does. */
  | "cut-behind";

/** What a net asks about every chunk. */
export interface SimNetOptions {
  /** Milliseconds on the way; 0 arrives within the same moment. */
  readonly latencyMs?: () => number;
  /** `count`: of all chunks so far, from 1. */
  readonly fault?: (count: number, from: string, to: string) => LinkFault | null;
}

type Listener = (bytes: Uint8Array) => void | Promise<void>;

/** One end of a link. */
class SimLink implements ByteLink {
  readonly peer: string;
  readonly process: string;
  other: SimLink | null = null;
  readonly #net: SimNet;
  /** On the way to this end; null: the other end has closed behind it. */
  readonly #queue: (Uint8Array | null)[] = [];
  #listener: Listener | null = null;
  #onClose: ((why: string) => void) | null = null;
  #closed: string | null = null;
  #isPumping = false;
  #isDead = false;
  #held: Uint8Array | null = null;
  /** When the last one that is on its way here arrives. */
  #dueMs = 0;

  constructor(net: SimNet, process: string, peer: string) {
    this.#net = net;
    this.process = process;
    this.peer = peer;
  }

  async send(pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#isDead) return new Promise(() => {}); // nobody is there to be told
    const { other } = this;
    if (this.#closed !== null || other === null) {
      throw new VmError("io", `the link to ${this.peer} is closed`);
    }
    const fault = this.#net.faultOf(this.process, other.process);
    const bytes = joined(pieces);
    if (fault === "cut") return this.#cut();
    if (fault === "cut-within") {
      other.#arrive(bytes.subarray(0, Math.floor(bytes.length / 2)));
      return this.#cut();
    }
    const held = this.#held;
    this.#held = null;
    if (fault === "swap" && held === null) this.#held = bytes;
    else if (fault !== "lose") other.#arrive(bytes);
    if (held !== null) other.#arrive(held);
    if (fault === "double") other.#arrive(bytes);
    if (fault === "cut-behind") return this.#cut();
  }

  #cut(): never {
    this.#end("cut");
    this.#tellOther();
    throw new VmError("io", `the link to ${this.peer} was cut`);
  }

  /** The other end hears, behind what was sent, that this one is closed. */
  #tellOther(): void {
    const { other } = this;
    if (other !== null) other.#arrive(null);
  }

  #arrive(bytes: Uint8Array | null): void {
    const nowMs = this.#net.nowMs();
    // in order, however long each is on its way
    this.#dueMs = Math.max(this.#dueMs, nowMs + this.#net.latencyMs());
    const arrive = () => {
      this.#queue.push(bytes);
      void this.#pump();
    };
    if (this.#dueMs <= nowMs) arrive();
    else this.#net.later(this.#dueMs - nowMs, arrive);
  }

  async #pump(): Promise<void> {
    if (this.#isPumping || this.#listener === null) return;
    this.#isPumping = true;
    while (this.#queue.length > 0 && !this.#isDead && this.#closed === null) {
      const bytes = this.#queue.shift() as Uint8Array | null;
      await undefined; // never within the sender's own call
      if (this.#isDead || this.#closed !== null) break;
      if (bytes === null) this.#end(`closed by ${this.peer}`);
      else await this.#listener(bytes);
    }
    this.#isPumping = false;
  }

  onBytes(listener: Listener): void {
    this.#listener = listener;
    void this.#pump();
  }

  onClose(listener: (why: string) => void): void {
    this.#onClose = listener;
    if (this.#closed !== null && !this.#isDead) listener(this.#closed);
  }

  #end(why: string): void {
    if (this.#closed !== null) return;
    this.#closed = why;
    this.#net.drop(this);
    if (!this.#isDead) this.#onClose?.(why);
  }

  close(): void {
    if (this.#closed !== null || this.#isDead) return;
    this.#end("closed here");
    this.#tellOther();
  }

  /** Its process is gone. */
  die(): void {
    this.#isDead = true;
    this.#closed = "dead";
    this.#tellOther();
  }
}

/** A network of simulated processes. */
export class SimNet {
  readonly #platform: Platform;
  readonly #options: SimNetOptions;
  readonly #listening = new Map<string, { process: string; onLink: (link: ByteLink) => void }>();
  readonly #links = new Set<SimLink>();
  #count = 0;
  #ports = 0;

  constructor(platform: Platform, options: SimNetOptions = {}) {
    this.#platform = platform;
    this.#options = options;
  }

  /** Chunks sent so far. */
  get sends(): number {
    return this.#count;
  }

  /** For links alone. */
  faultOf(from: string, to: string): LinkFault | null {
    return this.#options.fault?.(++this.#count, from, to) ?? null;
  }

  /** For links alone. */
  latencyMs(): number {
    return this.#options.latencyMs?.() ?? 0;
  }

  /** For links alone. */
  nowMs(): number {
    return this.#platform.monotonicMs();
  }

  /** For links alone. */
  later(ms: number, work: () => void): void {
    this.#platform.after(ms, work);
  }

  /** For links alone. */
  drop(link: ByteLink): void {
    this.#links.delete(link as SimLink);
  }

  /** How a process makes links. */
  door(process: string): LinkDoor {
    return {
      dial: async (address) => {
        const found = this.#listening.get(address);
        if (found === undefined) throw new VmError("io", `${address}: nobody answers`);
        const here = new SimLink(this, process, address);
        const there = new SimLink(this, found.process, `sim:${process}`);
        here.other = there;
        there.other = here;
        this.#links.add(here).add(there);
        found.onLink(there);
        return here;
      },
      listen: async (address, onLink): Promise<LinkListener> => {
        const own = address.endsWith(":0") ? `${address.slice(0, -1)}${++this.#ports}` : address;
        if (this.#listening.has(own)) throw new VmError("busy", `${own}: somebody has it`);
        const entry = { process, onLink };
        this.#listening.set(own, entry);
        const close = async () => {
          if (this.#listening.get(own) === entry) this.#listening.delete(own);
        };
        return { address: own, close };
      },
    };
  }

  /** The process is gone: its links are cut, nobody listens where it did. */
  kill(process: string): void {
    for (const [address, entry] of this.#listening) {
      if (entry.process === process) this.#listening.delete(address);
    }
    for (const link of [...this.#links]) {
      if (link.process !== process) continue;
      this.#links.delete(link);
      link.die();
    }
  }

  /** Every link is cut. */
  cut(): void {
    for (const link of [...this.#links]) link.close();
  }
}
