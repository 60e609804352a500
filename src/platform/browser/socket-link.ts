/**
 * socket-link: a browser's WebSocket as a link.
 *
 * Owns    its WebSocket.
 * Used by src/browser.ts.
 * Holds   messages are binary, those sent at most 1 MiB. A browser does not say when a WebSocket
 *         wants more, so that is asked again and again while a send waits; and nothing slows down
 *         what comes: a link whose listener is more than 256 MiB behind is closed.
 */
import { VmError } from "../../errors.ts";
import { awaitAddress, nameInPath } from "../await-name.ts";
import type { ByteLink, LinkDoor, LinkListener } from "../link.ts";
import { closedLink, Inbox, LinkEnd, messagesOf } from "../link-parts.ts";

/** What may wait in the browser before `send` waits, too. */
const PENDING_BYTES_MAX = 4 << 20;
const BEHIND_BYTES_MAX = 256 << 20;
/** A browser makes it 4 ms when it is asked for again and again: 1 GB/s of what may wait. */
const POLL_MS = 1;
const DIAL_MS = 10_000;
/** Until a connection that waited and was lost is made again. */
const AGAIN_MS = 1000;

class BrowserLink implements ByteLink {
  readonly peer: string;
  readonly #socket: WebSocket;
  readonly #end = new LinkEnd();
  readonly #inbox = new Inbox({ more: () => {}, fail: (why) => this.#cut(why) });
  #waiting: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocket, peer: string) {
    this.peer = peer;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#take(data));
    // why is not said to pages
    socket.addEventListener("error", () => this.#cut("io: the browser does not say why"));
    socket.addEventListener("close", () => {
      this.#wake();
      this.#inbox.end(() => this.#cut(`closed by ${peer}`));
    });
  }

  #take(data: unknown): void {
    if (this.#end.why !== null) return;
    if (!(data instanceof ArrayBuffer)) {
      this.#cut("io: a text message came; accepted are binary ones");
      return;
    }
    this.#inbox.put(new Uint8Array(data));
    if (this.#inbox.bytes > BEHIND_BYTES_MAX) this.#cut("io: the listener is 256 MiB behind");
  }

  /** Lets the sends go on that may, or that will never leave. */
  #wake(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const isOpen = this.#socket.readyState === WebSocket.OPEN && this.#end.why === null;
    if (isOpen && this.#socket.bufferedAmount > PENDING_BYTES_MAX) {
      this.#timer = setTimeout(() => this.#wake(), POLL_MS);
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const settle of waiting) settle();
  }

  send(pieces: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        const isOpen = this.#socket.readyState === WebSocket.OPEN;
        const why = this.#end.why ?? (isOpen ? null : "io: it was cut");
        if (why === null) resolve();
        else reject(closedLink(this.peer, why));
      };
      if (this.#end.why === null) {
        // what is sent is copied at once, but not from memory that is shared
        for (const message of messagesOf(pieces)) {
          const isShared = !(message.buffer instanceof ArrayBuffer);
          this.#socket.send((isShared ? message.slice() : message) as Uint8Array<ArrayBuffer>);
        }
      }
      this.#waiting.push(settle);
      if (this.#timer === undefined) this.#wake();
    });
  }

  onBytes(listener: (bytes: Uint8Array) => void | Promise<void>): void {
    if (this.#end.why === null) this.#inbox.onBytes(listener);
  }

  onClose(listener: (why: string) => void): void {
    this.#end.onClose(listener);
  }

  close(): void {
    this.#cut("closed here");
  }

  #cut(why: string): void {
    this.#inbox.drop();
    this.#end.come(why);
    this.#socket.close();
    this.#wake();
  }
}

/** Opens a WebSocket. Rejects with "bad-argument", "io". */
function open(address: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    let socket: WebSocket;
    try {
      socket = new WebSocket(address);
    } catch (cause) {
      // a page that came over https: may not dial ws:
      reject(new VmError("bad-argument", `${address}: the browser refuses it`, { cause }));
      return;
    }
    socket.binaryType = "arraybuffer";
    const timer = setTimeout(() => socket.close(), DIAL_MS);
    const fail = () => {
      clearTimeout(timer);
      reject(new VmError("io", `${address}: no link; a page is not told why`));
    };
    socket.addEventListener("close", fail, { once: true });
    socket.addEventListener(
      "open",
      () => {
        clearTimeout(timer);
        socket.removeEventListener("close", fail);
        resolve(socket);
      },
      { once: true },
    );
  });
}

/** The URL of an address. Throws "bad-argument" with what is accepted. */
function urlOf(address: string, accepted: string): URL {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url !== null && ["ws:", "wss:"].includes(url.protocol) && url.hash === "") return url;
  throw new VmError("bad-argument", `address "${address}"; ${accepted}`);
}

/** Keeps one quiet connection at a server, and makes another one when it is used or lost. */
class Waiting implements LinkListener {
  readonly address: string;
  readonly #url: string;
  readonly #onLink: (link: ByteLink) => void;
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(url: string, name: string, onLink: (link: ByteLink) => void) {
    this.#url = url;
    this.address = awaitAddress(name);
    this.#onLink = onLink;
  }

  /** Rejects with "bad-argument", "io". */
  async connect(): Promise<void> {
    const socket = await open(this.#url);
    if (this.#isClosed) {
      socket.close();
      return;
    }
    const link = new BrowserLink(socket, this.#url);
    this.#socket = socket;
    link.onClose(() => this.#socket === socket && this.#again(AGAIN_MS));
    // behind the link's own listener: the link keeps the first bytes until they are asked for
    const called = () => {
      this.#again(0);
      this.#onLink(link);
    };
    socket.addEventListener("message", called, { once: true });
  }

  #again(ms: number): void {
    this.#socket = null;
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => this.connect().catch(() => this.#again(AGAIN_MS)), ms);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }
}

async function listen(address: string, onLink: (link: ByteLink) => void): Promise<LinkListener> {
  const accepted =
    "nobody can dial a page: accepted is ws://HOST:PORT/await/NAME (or wss:) of a process that " +
    "listens; it dials await://NAME (letters, digits, - and _)";
  const url = urlOf(address, accepted);
  const name = url.search === "" ? nameInPath(url.pathname) : null;
  if (name === null) throw new VmError("unsupported", `address "${address}"; ${accepted}`);
  const waiting = new Waiting(url.href, name, onLink);
  await waiting.connect();
  return waiting;
}

/**
 * Links of a page or worker: `dial` takes ws:// and wss:// addresses. Nobody can dial a page, so
 * `listen` takes ws://HOST:PORT/await/NAME: a link is kept waiting at the process that listens
 * there, which dials it by `await://NAME`; a lost one is made again every second. A name that
 * nobody guesses keeps other pages from taking the calls. Any other address rejects with
 * "unsupported".
 */
export function browserLinks(): LinkDoor {
  return {
    dial: async (address) => {
      const url = urlOf(address, "a page dials ws://HOST:PORT/ and wss://HOST:PORT/");
      return new BrowserLink(await open(url.href), address);
    },
    listen,
  };
}
