/**
 * control-socket: a unix socket that only its user can open, and connections to one.
 *
 * Owns    its connections; the socket itself is unix-socket.ts's.
 * Used by src/cli.ts.
 */
import { connect, createServer, type Socket } from "node:net";
import { VmError } from "../../errors.ts";
import { endSocket } from "./end-socket.ts";
import { listenUnix, socketAddress } from "./unix-socket.ts";

/** Output that may wait in this process before `write` says that it piles up. */
const PENDING_BYTES_MAX = 1 << 20;

/** One connection, as the shell sees it. */
function peerOf(socket: Socket) {
  const closed = new Set<() => void>();
  let isClosed = false;
  socket.on("error", () => {});
  socket.once("close", () => {
    isClosed = true;
    for (const listener of [...closed]) listener();
    closed.clear();
  });
  return {
    get pendingBytes(): number {
      return socket.writableLength;
    },
    write: (bytes: Uint8Array): boolean => {
      if (isClosed || socket.writableEnded) return true;
      return socket.write(bytes) || socket.writableLength < PENDING_BYTES_MAX;
    },
    drained: (): Promise<void> =>
      new Promise((resolve) => {
        if (isClosed || socket.writableLength === 0) {
          resolve();
          return;
        }
        const settle = () => {
          closed.delete(settle);
          resolve();
        };
        closed.add(settle);
        // behind all that waits; little may wait without a "drain" to come
        if (!socket.writableEnded) socket.write("", settle);
      }),
    onBytes: (listener: (bytes: Uint8Array) => void): void => {
      socket.on("data", (bytes: Buffer) => listener(new Uint8Array(bytes)));
    },
    onClose: (listener: () => void): void => {
      if (isClosed) listener();
      else closed.add(listener);
    },
    hold: (isHeld: boolean): void => {
      if (isHeld) socket.pause();
      else socket.resume();
    },
    close: (): void => endSocket(socket),
  };
}

/** Takes connections on a socket of mode 0600. Throws VmError "busy" and "io". */
export async function listenControl(
  path: string,
  onPeer: (peer: ReturnType<typeof peerOf>) => void,
): Promise<{ readonly path: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    onPeer(peerOf(socket));
  });
  const door = await listenUnix(server, path);
  return {
    path,
    close: async () => {
      if (!server.listening) return;
      const isClosed = new Promise<void>((resolve) => server.once("close", resolve));
      door.close();
      for (const socket of sockets) endSocket(socket);
      await isClosed;
    },
  };
}

/** A connection to the process that serves `path`. Throws VmError "not-found" and "io". */
export function connectControl(path: string): Promise<ReturnType<typeof peerOf>> {
  const { address, close } = socketAddress(path);
  return new Promise((resolve, reject) => {
    const socket = connect(address);
    const fail = (cause: NodeJS.ErrnoException) => {
      close();
      const isGone = cause.code === "ENOENT" || cause.code === "ECONNREFUSED";
      const what = isGone ? "no process serves it" : `it cannot be opened (${cause.code})`;
      const hint = "; `rivulet --control unix:PATH` serves one";
      reject(new VmError(isGone ? "not-found" : "io", `${path}: ${what}${hint}`, { cause }));
    };
    socket.once("error", fail);
    socket.once("connect", () => {
      socket.off("error", fail);
      close();
      resolve(peerOf(socket));
    });
  });
}
