/**
 * web-socket-link: links over WebSocket under Node, so that a browser may be the other end.
 *
 * Owns    its WebSockets and their server.
 * Used by links.ts, when a ws:// address is asked for.
 * Holds   messages are binary and at most 2 MiB; those sent are at most 1 MiB. Any other closes
 *         the link. Where messages end means nothing.
 */
import type { Socket } from "node:net";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { awaitAddress, nameInPath } from "../await-name.ts";
import type { ByteLink, LinkListener } from "../link.ts";
import { closedLink, Inbox, LinkEnd, messagesOf } from "../link-parts.ts";
import {
  addressText,
  dialError,
  dialTimeout,
  isLoopback,
  listenError,
  type PortAddress,
} from "./link-address.ts";
import type { Waiting, WaitingRoom } from "./waiting-room.ts";

/** How long the other end may take to answer that it has heard of the end. */
const LINGER_MS = 1000;
const KEEP_ALIVE_MS = 15_000;
const OPTIONS = { perMessageDeflate: false, maxPayload: 2 << 20 };

class WebSocketLink implements ByteLink {
  readonly peer: string;
  readonly #socket: WebSocket;
  readonly #end = new LinkEnd();
  readonly #inbox = new Inbox({
    more: () => this.#socket.resume(),
    fail: (why) => this.#cut(why),
  });

  /** An open WebSocket that nobody has read. */
  constructor(socket: WebSocket, peer: string) {
    this.peer = peer;
    this.#socket = socket;
    socket.pause();
    socket.on("message", (data: RawData, isBinary: boolean) => {
      if (this.#end.why !== null) return;
      if (!isBinary) this.#cut("io: a text message came; accepted are binary ones");
      else if (!this.#inbox.put(data as Buffer)) socket.pause();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#cut(`io: ${error.code ?? error.message}`);
    });
    socket.once("close", () => this.#inbox.end(() => this.#cut(`closed by ${peer}`)));
  }

  send(pieces: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        const isOpen = this.#socket.readyState === WebSocket.OPEN;
        const why = this.#end.why ?? (isOpen ? null : "io: it was cut");
        if (why === null) resolve();
        else reject(closedLink(this.peer, why));
      };
      const messages = this.#end.why === null ? messagesOf(pieces) : [];
      const last = messages.pop();
      for (const message of messages) this.#socket.send(message, () => {});
      if (last === undefined) settle();
      else this.#socket.send(last, settle);
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
    if (socket.bufferedAmount > 0) {
      socket.terminate();
      return;
    }
    const timer = setTimeout(() => socket.terminate(), LINGER_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.resume(); // the answer comes behind what nobody reads any more
    socket.close();
  }

  #cut(why: string): void {
    this.#inbox.drop();
    this.#end.come(why);
    this.#socket.terminate();
  }
}

/** Connects. Rejects with "io". */
export function dialWebSocket(address: PortAddress, ms: number): Promise<ByteLink> {
  const peer = addressText(address);
  const socket = new WebSocket(peer, OPTIONS);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(dialTimeout(peer, ms));
      socket.terminate();
    }, ms);
    socket.on("error", (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(dialError(peer, cause));
    });
    socket.once("open", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(new WebSocketLink(socket, peer));
    });
  });
}

/** True for a page that this host has served itself, and for whoever is no page. */
function isOwnPage(origin: string | undefined): boolean {
  if (origin === undefined) return true;
  const host = URL.canParse(origin) ? new URL(origin).hostname : "";
  return isLoopback(host.replace(/^\[|\]$/g, ""));
}

/** Keeps a WebSocket until somebody dials it; the function closes it if nobody has. */
function keep(socket: WebSocket, connection: Socket, name: string, room: WaitingRoom): () => void {
  const leave = () => room.leave(one);
  const close = () => socket.terminate();
  const one: Waiting = {
    name,
    take: () => {
      socket.removeAllListeners();
      return new WebSocketLink(socket, awaitAddress(name));
    },
    close,
  };
  connection.setKeepAlive(true, KEEP_ALIVE_MS);
  socket.on("error", close);
  socket.on("message", close); // it is not its turn
  socket.on("close", leave);
  room.come(one);
  return () => room.leave(one) && close();
}

/** What a listener does with WebSockets. */
export interface WebSocketListening {
  /** Web pages of other hosts may connect. */
  readonly isOpen: boolean;
  /** Takes those that want to be dialed. */
  readonly room: WaitingRoom;
  readonly onLink: (link: ByteLink) => void;
}

/** Takes WebSockets at "/" as links, and at "/await/NAME" to be dialed. */
export function listenWebSocket(
  address: PortAddress,
  { isOpen, room, onLink }: WebSocketListening,
): Promise<LinkListener> {
  const server = new WebSocketServer({
    ...OPTIONS,
    host: address.host,
    port: address.port,
    clientTracking: false,
    // a browser lets any page of the web connect to this host
    verifyClient: ({ origin }: { origin?: string }) => isOpen || isOwnPage(origin),
  });
  server.shouldHandle = ({ url = "" }) => url === "/" || nameInPath(url) !== null;
  let isClosed = false;
  const leaves = new Set<() => void>();
  server.on("connection", (socket, { url = "", socket: connection }) => {
    if (isClosed) {
      socket.terminate();
      return;
    }
    const name = nameInPath(url);
    if (name !== null) {
      const leave = keep(socket, connection, name, room);
      leaves.add(leave);
      connection.once("close", () => leaves.delete(leave));
      return;
    }
    const { remoteAddress, remotePort } = connection;
    const peer = { ...address, host: remoteAddress ?? "unknown", port: remotePort ?? 0 };
    onLink(new WebSocketLink(socket, addressText(peer)));
  });
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(listenError(addressText(address), cause)));
    server.once("listening", () => {
      server.on("error", () => {});
      const had = server.address();
      const port = typeof had === "object" && had !== null ? had.port : address.port;
      resolve({
        address: addressText({ ...address, port }),
        close: async () => {
          isClosed = true;
          for (const leave of leaves) leave();
          server.close();
        },
      });
    });
  });
}
