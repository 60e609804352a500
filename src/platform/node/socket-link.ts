/**
 * socket-link: a socket of this host as a link: TCP, TLS, unix.
 *
 * Owns    the socket.
 * Used by links.ts.
 * Holds   pieces are handed to the kernel as they are, many in one call, and nothing is copied;
 *         `send` resolves when the kernel has them. A socket reads into one buffer, 2 to 4 times as
 *         fast as Node's pieces of 64 KiB.
 */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";
import type { ByteLink } from "../link.ts";
import { closedLink, Inbox, LinkEnd } from "../link-parts.ts";

/** How long what has left may take to reach the other end when a link is closed. */
const LINGER_MS = 1000;
const KEEP_ALIVE_MS = 15_000;
const READ_BYTES = 1 << 20;

/** What a socket reads into, before there is a link: the options of `connect`. */
export class ReadBuffer {
  readonly options: OnReadOpts = {
    buffer: new Uint8Array(READ_BYTES),
    callback: (count, buffer) => this.take(buffer.subarray(0, count)),
  };
  /** False stops the reading. */
  take: (bytes: Uint8Array) => boolean = () => false;
}

/**
 * A socket that was accepted, and is read by nobody yet, made anew with a buffer. Node takes one
 * only where it makes the socket, so another one gets the connection, as Node hands it from process
 * to process. A Node that does not hold it there leaves the socket as it is, and `buffer` null.
 */
export function withBuffer(accepted: Socket): { socket: Socket; buffer: ReadBuffer | null } {
  const owner = accepted as unknown as { _handle?: object | null };
  const handle = owner._handle;
  if (typeof handle !== "object" || handle === null) return { socket: accepted, buffer: null };
  const buffer = new ReadBuffer();
  owner._handle = null;
  accepted.destroy();
  const options = { handle, onread: buffer.options, pauseOnCreate: true };
  return { socket: new Socket(options as SocketConstructorOpts), buffer };
}

/** A connected socket as a link. */
export class SocketLink implements ByteLink {
  readonly peer: string;
  readonly #socket: Socket;
  readonly #end = new LinkEnd();
  readonly #inbox = new Inbox({
    more: () => this.#socket.resume(),
    fail: (why) => this.#cut(why),
  });

  /** A socket that nobody reads yet; `buffer` when it was connected with one. */
  constructor(socket: Socket, peer: string, buffer: ReadBuffer | null) {
    this.peer = peer;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#cut(`io: ${error.code ?? error.message}`);
    });
    socket.once("end", () => this.#inbox.end(() => this.#cut(`closed by ${peer}`)));
    socket.once("close", () => this.#cut(`closed by ${peer}`));
    socket.pause();
    if (buffer === null) socket.on("data", (bytes: Buffer) => this.#take(bytes) || socket.pause());
    else buffer.take = (bytes) => this.#take(bytes);
  }

  #take(bytes: Uint8Array): boolean {
    return this.#end.why !== null || this.#inbox.put(bytes);
  }

  /** Why a write that is called back now did not leave: Node does not say so of each. */
  get #failure(): string | null {
    if (!this.#socket.destroyed) return null;
    const error = this.#socket.errored as NodeJS.ErrnoException | null;
    return `io: ${error?.code ?? error?.message ?? "it was cut"}`;
  }

  send(pieces: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        const why = this.#end.why ?? this.#failure;
        if (why === null) resolve();
        else reject(closedLink(this.peer, why));
      };
      const last = pieces.length - 1;
      if (this.#end.why !== null || last < 0) {
        settle();
        return;
      }
      this.#socket.cork(); // one writev
      for (let index = 0; index < last; index++) this.#socket.write(pieces[index]);
      this.#socket.write(pieces[last], settle);
      this.#socket.uncork();
    });
  }

  onBytes(listener: (bytes: Uint8Array) => void | Promise<void>): void {
    if (this.#end.why === null) this.#inbox.onBytes(listener);
  }

  onClose(listener: (why: string) => void): void {
    this.#end.onClose(listener);
  }

  close(): void {
    if (this.#end.why !== null) return;
    this.#inbox.drop();
    this.#end.come("closed here");
    const socket = this.#socket;
    if (socket.writableLength > 0) {
      socket.destroy();
      return;
    }
    // With bytes unread the kernel would answer by a reset, and what has left would be lost with
    // it: the other end stops at its first write. So what comes is read until it has closed.
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.resume();
    socket.end();
  }

  #cut(why: string): void {
    this.#inbox.drop();
    this.#end.come(why);
    this.#socket.destroy();
  }
}
