/**
 * end-socket: the end of a connection.
 *
 * Used by control-socket.ts and tcp-server.ts.
 */
import type { Socket } from "node:net";

/** How long a peer may take to read what is left for it. */
const LEFTOVER_MS = 1000;

/** Ends a connection behind what was written; whoever does not read that is not waited for. */
export function endSocket(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LEFTOVER_MS);
  socket.once("close", () => clearTimeout(timer));
  socket.end(() => socket.destroy());
}
