/**
 * unix-socket: unix sockets that only their user can open, at paths of any length.
 *
 * Owns    the socket's file: made with mode 0600, removed however the process ends.
 * Used by control-socket.ts, store-lock.ts, links.ts.
 * Holds   the socket of a process that is gone is replaced; one that answers, or a file that is no
 *         socket, never.
 */
import { closeSync, constants, lstatSync, openSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { VmError } from "../../errors.ts";

/** Longest path that fits an address of a unix socket: 108 bytes with the closing zero. */
const ADDRESS_BYTES_MAX = 107;
const ATTEMPTS = 3;

/**
 * The folder by a path under which names of up to `nameBytes` fit a socket address; `close` when
 * it is used no more. Throws "io".
 */
export function shortFolder(
  folder: string,
  nameBytes: number,
): { readonly at: string; close(): void } {
  const needs = (at: string) => Buffer.byteLength(join(at, "x".repeat(nameBytes)));
  if (needs(folder) <= ADDRESS_BYTES_MAX) return { at: folder, close: () => {} };
  if (process.platform !== "linux") {
    const accepted = `accepted are paths up to ${ADDRESS_BYTES_MAX} bytes, the name included`;
    throw new VmError("io", `${folder}: too long for a socket in it; ${accepted}`);
  }
  let descriptor: number;
  try {
    descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    throw new VmError("io", `${folder}: it cannot be opened as a folder`, { cause });
  }
  const at = `/proc/self/fd/${descriptor}`;
  if (needs(at) <= ADDRESS_BYTES_MAX) return { at, close: () => closeSync(descriptor) };
  closeSync(descriptor);
  const accepted = `accepted are names up to ${ADDRESS_BYTES_MAX - 20} bytes`;
  throw new VmError("io", `${folder}: a socket's name of ${nameBytes} bytes; ${accepted}`);
}

/** A socket's path by one that fits a socket address; `close` when it is used no more. */
export function socketAddress(path: string): { readonly address: string; close(): void } {
  const name = basename(path);
  const { at, close } = shortFolder(dirname(path), Buffer.byteLength(name));
  return { address: join(at, name), close };
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

/**
 * Lets a server listen at a path, with mode 0600. `close` removes the file and takes no more
 * connections; those that are there stay. Throws VmError "busy" and "io".
 */
export async function listenUnix(server: Server, path: string): Promise<{ close(): void }> {
  const { address, close } = socketAddress(path);
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
  let isClosed = false;
  return {
    close: () => {
      if (isClosed) return;
      isClosed = true;
      process.off("exit", remove);
      remove();
      server.close();
      close();
    },
  };
}
