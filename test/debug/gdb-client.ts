/**
 * gdb-client: the other end of a gdb session for tests: sends packets, waits for answers.
 *
 * Used by gdb-protocol.test.ts.
 * Holds   waiting is bounded by turns of the event loop, not by a clock.
 */
import { setImmediate as turn } from "node:timers/promises";
import { bytesOf, frame, latin1, PacketReader } from "../../src/debug/packet.ts";
import type { GdbPeer } from "../../src/debug/peer.ts";

const TURNS_MAX = 200_000;

/** A connection whose ends are both in this process. */
export class GdbClient {
  readonly #reader = new PacketReader();
  readonly #packets: string[] = [];
  #onBytes: (bytes: Uint8Array) => void = () => {};
  #onClose: () => void = () => {};
  /** Acknowledgements got. */
  acks = 0;
  nacks = 0;
  isClosed = false;
  /** Reported to the session as waiting to leave. */
  pendingBytes = 0;
  sentBytes = 0;

  /** The session's side. */
  get peer(): GdbPeer {
    const client = this;
    return {
      get pendingBytes() {
        return client.pendingBytes;
      },
      write: (bytes) => this.#got(bytes),
      onBytes: (listener) => {
        this.#onBytes = listener;
      },
      onClose: (listener) => {
        this.#onClose = listener;
      },
      close: () => {
        this.isClosed = true;
      },
    };
  }

  #got(bytes: Uint8Array): void {
    this.sentBytes += bytes.length;
    for (const incoming of this.#reader.take(bytes)) {
      if (incoming.kind === "packet") this.#packets.push(latin1(incoming.payload));
      else if (incoming.kind === "ack") this.acks++;
      else if (incoming.kind === "nack") this.nacks++;
    }
  }

  /** Bytes as they are. */
  raw(bytes: Uint8Array | string): void {
    this.#onBytes(typeof bytes === "string" ? bytesOf(bytes) : bytes);
  }

  /** The connection breaks. */
  drop(): void {
    this.isClosed = true;
    this.#onClose();
  }

  /** Sends a packet and waits for the next one from the other side. */
  async ask(payload: string | Uint8Array): Promise<string> {
    this.send(payload);
    return this.next();
  }

  send(payload: string | Uint8Array): void {
    this.raw(frame(typeof payload === "string" ? bytesOf(payload) : payload));
  }

  /** The next packet of the other side. */
  async next(): Promise<string> {
    for (let turns = 0; turns < TURNS_MAX; turns++) {
      const packet = this.#packets.shift();
      if (packet !== undefined) return packet;
      await turn();
    }
    throw new Error("no packet came");
  }

  /** Packets that nobody has asked for yet. */
  get waiting(): number {
    return this.#packets.length;
  }
}
