/**
 * peer: the byte stream that a gdb session talks over, whatever carries it.
 *
 * Owns    the contract; platform/node/tcp-server.ts gives it for TCP, tests give their own.
 */

/** The other end of a connection. */
export interface GdbPeer {
  /** Bytes written that have not left this process. */
  readonly pendingBytes: number;
  write(bytes: Uint8Array): void;
  onBytes(listener: (bytes: Uint8Array) => void): void;
  /** Calls back once when the connection is over, whoever ended it. */
  onClose(listener: () => void): void;
  /** Ends the connection behind what was written. */
  close(): void;
}
