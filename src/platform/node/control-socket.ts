/**
 * control-socket: a unix socket that only its user can open, and connections to one.
 *
 * Owns    the socket's file: made with mode 0600, removed however the process ends.
 * Used by src/cli.ts.
 * Holds   the socket of a process that is gone is replaced; one that answers, or a file that is no
 *         socket, never.
 */
import { closeSync, constants, lstatSync, openSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { basename, dirname, join } from "node:path";
import { VmError } from "../../errors.ts";
import { endSocket } from "./end-socket.ts";

/** Longest path that fits an address of a unix socket: 108 bytes with the closing zero. */
const ADDRESS_BYTES_MAX = 107;
/** Output that may wait in this process before `write` says that it piles up. */
const PENDING_BYTES_MAX = 1 << 20;
const ATTEMPTS = 3;
/** A path that fits a socket address, by way of its folder where it is too long. */
function openAddress(path: string): { readonly address: string; close(): void } {
  if (Buffer.byteLength(path) <= ADDRESS_BYTES_MAX) return { address: path, close: () => {} };
  if (process.platform !== "linux") {
    const given = `${path}: ${Buffer.byteLength(path)} bytes`;
    throw new VmError("io", `${given}; accepted are paths up to ${ADDRESS_BYTES_MAX} bytes`);
  }
  let folder: number;
  try {
    folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    throw new VmError("io", `${dirname(path)}: it cannot be opened as a folder`, { cause });
  }
  const address = join(`/proc/self/fd/${folder}`, basename(path));
  if (Buffer.byteLength(address) <= ADDRESS_BYTES_MAX) {
    return { address, close: () => closeSync(folder) };
  }
  closeSync(folder);
  const given = `${basename(path)}: a name of ${Buffer.byteLength(basename(path))} bytes`;
  throw new VmError("io", `${given}; accepted are names up to ${ADDRESS_BYTES_MAX - 20} bytes`);
}

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

/** True when somebody takes connections there. */
function isAlive(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      // ENOENT: it went away; anything but "refused" is somebody's
      resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT");
    });
  });
}

function bind(server: Server, address: string): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const fail = (error: Error) => resolve(error);
    server.once("error", fail);
    // the file is made within `listen`: nobody else can ever open it
    const mask = process.umask(0o177);
    try {
      server.listen({ path: address }, () => {
        server.off("error", fail);
        resolve(null);
      });
    } finally {
      process.umask(mask);
    }
  });
}

/** Removes the socket of a process that is gone. Throws "busy" or "io". */
async function clearAway(path: string, address: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new VmError("io", `${path}: there is a file that is no socket; accepted is a new path`);
  }
  if (await isAlive(address)) {
    throw new VmError("busy", `${path}: another process serves it; accepted is another path`);
  }
  unlinkSync(path);
}

async function listen(path: string, address: string, server: Server): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const error = await bind(server, address);
    if (error === null) return;
    if (error.code !== "EADDRINUSE" || attempt === ATTEMPTS) {
      throw new VmError("io", `${path}: no socket can be made there (${error.code})`, {
        cause: error,
      });
    }
    await clearAway(path, address);
  }
}

/** Takes connections on a socket of mode 0600. Throws VmError "busy" and "io". */
export async function listenControl(
  path: string,
  onPeer: (peer: ReturnType<typeof peerOf>) => void,
): Promise<{ readonly path: string; close(): Promise<void> }> {
  const { address, close } = openAddress(path);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    onPeer(peerOf(socket));
  });
  try {
    await listen(path, address, server);
  } catch (error) {
    close();
    throw error;
  }
  server.on("error", () => {});
  const made = lstatSync(path);
  const remove = () => {
    // only what we made: the path may be somebody else's by now
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.ino === made.ino && found.dev === made.dev) unlinkSync(path);
  };
  process.once("exit", remove);
  return {
    path,
    close: async () => {
      process.off("exit", remove);
      remove();
      const isClosed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) endSocket(socket);
      await isClosed;
      close();
    },
  };
}

/** A connection to the process that serves `path`. Throws VmError "not-found" and "io". */
export function connectControl(path: string): Promise<ReturnType<typeof peerOf>> {
  const { address, close } = openAddress(path);
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
