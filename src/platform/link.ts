/**
 * link: connections between hosts, as a migration sees them.
 *
 * Owns    the types only. Implemented by node/ (TCP, TLS, unix sockets, WebSocket), browser/
 *         (WebSocket) and sim/ (one that loses, delays and cuts).
 * Holds   bytes come in the order in which they were sent, or the link is closed: nothing is
 *         missing in the midst. What they mean is checked by whoever reads them.
 */

/** A connection to another process. */
export interface ByteLink {
  /** The other end, for messages: "tcp://127.0.0.1:4711". */
  readonly peer: string;
  /**
   * Sends the pieces one behind the other. Resolves when the link wants more, at the latest when
   * they have left; they must stay as they are until then. Rejects with "io" when the link is
   * closed, or closes, before they have left.
   */
  send(pieces: readonly Uint8Array[]): Promise<void>;
  /**
   * Gives what arrives to `listener`, in pieces of any size, from the first byte on. They are the
   * listener's until it returns, or until its promise resolves: nothing more is given before.
   */
  onBytes(listener: (bytes: Uint8Array) => void | Promise<void>): void;
  /** Called once, with the reason, when the link is closed by either end; at once when it is. */
  onClose(listener: (why: string) => void): void;
  /** Closes it. What was sent and has not left is lost. Once is enough. */
  close(): void;
}

/** Where links come in. */
export interface LinkListener {
  /** As somebody else dials it: with the port that was had. */
  readonly address: string;
  /** No more links are taken; those that are there stay. */
  close(): Promise<void>;
}

/** How links are made. */
export interface LinkDoor {
  /**
   * Connects to an address. Rejects with "bad-argument" for one that is none or not allowed, "io"
   * when nobody answers.
   */
  dial(address: string): Promise<ByteLink>;
  /** Takes links at an address. Rejects with "bad-argument", "busy" (somebody has it), "io". */
  listen(address: string, onLink: (link: ByteLink) => void): Promise<LinkListener>;
}
