/**
 * tcp-server: takes connections on a TCP port of this host.
 *
 * Owns    the listening socket and its connections.
 * Used by src/cli.ts (`--gdb`, `debug gdb`).
 * Holds   an address that other hosts can reach is refused unless the caller says that it is meant.
 */
import { createServer, type Socket } from "node:net";
import { VmError } from "../../errors.ts";
import { endSocket } from "./end-socket.ts";
import { isLoopback, listenError } from "./link-address.ts";

/** How to listen. */
export interface TcpOptions {
  /** A name or an address; "localhost", 127.0.0.0/8 and ::1 reach nobody else. */
  readonly host: string;
  /** 0 takes any that is free. */
  readonly port: number;
  /** An address that others can reach is meant. */
  readonly isOpen: boolean;
}

/** One connection as a stream of bytes. */
function peerOf(socket: Socket) {
  const closed: (() => void)[] = [];
  let isClosed = false;
  socket.setNoDelay(true);
  socket.on("error", () => {});
  socket.once("close", () => {
    isClosed = true;
    for (const listener of closed.splice(0)) listener();
  });
  return {
    get pendingBytes(): number {
      return socket.writableLength;
    },
    write: (bytes: Uint8Array): void => {
      if (!isClosed && !socket.writableEnded) socket.write(bytes);
    },
    onBytes: (listener: (bytes: Uint8Array) => void): void => {
      socket.on("data", (bytes: Buffer) => listener(new Uint8Array(bytes)));
    },
    onClose: (listener: () => void): void => {
      if (isClosed) listener();
      else closed.push(listener);
    },
    close: (): void => endSocket(socket),
  };
}

/**
 * Takes connections until `close`. `port` is the one that was had. Throws VmError "bad-argument"
 * for an open address that was not meant, "busy" for a port in use, "io".
 */
export async function listenTcp(
  { host, port, isOpen }: TcpOptions,
  onPeer: (peer: ReturnType<typeof peerOf>) => void,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  if (!isLoopback(host) && !isOpen) {
    const accepted =
      "accepted are 127.0.0.1, ::1 and localhost; --gdb-open-to-network lets others in";
    throw new VmError("bad-argument", `address ${host}: other hosts can reach it; ${accepted}`);
  }
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    onPeer(peerOf(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(listenError(`tcp://${host}:${port}`, cause)));
    server.listen({ host, port }, resolve);
  });
  server.on("error", () => {});
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: async () => {
      const isClosed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) endSocket(socket);
      await isClosed;
    },
  };
}
