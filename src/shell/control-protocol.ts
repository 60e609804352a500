/**
 * control-protocol: what goes over a control socket: lines of JSON, each at most LINE_BYTES_MAX.
 *
 * Owns    the messages and the line reader. docs/control-protocol.md tells it to other programs.
 * Used by control.ts (the process that serves) and control-client.ts.
 * Holds   what comes from the other side is checked before use: length, UTF-8, JSON, shape.
 */
import { z } from "zod";

/** Version of the protocol; a client refuses another one. */
export const PROTOCOL = 1;
/** Longest line, its end included. */
export const LINE_BYTES_MAX = 1 << 20;
/** Bytes of output or input in one message. */
export const DATA_BYTES_MAX = 48 << 10;

const NEWLINE = 0x0a;

/** What a client sends. */
export const ClientMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("run"),
    words: z.array(z.string()).min(1).max(4096),
    folder: z.string().startsWith("/"),
    isTerminal: z.boolean().default(false),
  }),
  z.strictObject({ type: z.literal("input"), data: z.base64() }),
  z.strictObject({ type: z.literal("input-end") }),
  z.strictObject({ type: z.literal("interrupt") }),
]);

/** What a client sends. */
export type ClientMessage = z.output<typeof ClientMessage>;

/** What the serving process sends. */
export const ServerMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("hello"), protocol: z.number(), version: z.string() }),
  z.object({ type: z.literal("stdout"), data: z.base64() }),
  z.object({ type: z.literal("stderr"), data: z.base64() }),
  z.object({ type: z.literal("listen"), isOn: z.boolean() }),
  z.object({ type: z.literal("hold"), isOn: z.boolean() }),
  z.object({ type: z.literal("exit"), status: z.int().min(0).max(255) }),
  z.object({ type: z.literal("error"), message: z.string() }),
]);

/** What the serving process sends. */
export type ServerMessage = z.output<typeof ServerMessage>;

/** One message as bytes. */
export function encodeMessage(message: ClientMessage | ServerMessage): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(message)}\n`);
}

const CHARACTERS = 8192;

/** Bytes as base64. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHARACTERS) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHARACTERS));
  }
  return btoa(text);
}

/** The bytes of a base64 text that was checked. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Cuts bytes into pieces that fit a message. */
export function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += DATA_BYTES_MAX) {
    yield bytes.subarray(at, at + DATA_BYTES_MAX);
  }
}

/** What is wrong with a line, for the other side. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ProtocolError";
  }
}

/** Puts bytes together into lines and reads those. */
export class MessageReader<Schema extends z.ZodType> {
  readonly #schema: Schema;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  /** The messages that end within these bytes. Throws ProtocolError; what follows is lost then. */
  *take(bytes: Uint8Array): Generator<z.output<Schema>> {
    let begin = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, begin)) {
      this.#keep(bytes.subarray(begin, end));
      begin = end + 1;
      const line = this.#line();
      if (line.length > 0) yield this.#read(line);
    }
    this.#keep(bytes.slice(begin));
  }

  #keep(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (this.#bytes >= LINE_BYTES_MAX) {
      this.#pieces = [];
      throw new ProtocolError(`a line of more than ${LINE_BYTES_MAX} bytes`);
    }
    if (piece.length > 0) this.#pieces.push(piece);
  }

  #line(): Uint8Array {
    const line = new Uint8Array(this.#bytes);
    let at = 0;
    for (const piece of this.#pieces) {
      line.set(piece, at);
      at += piece.length;
    }
    this.#pieces = [];
    this.#bytes = 0;
    return line;
  }

  #read(line: Uint8Array): z.output<Schema> {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
    } catch {
      throw new ProtocolError("a line that is not JSON in UTF-8");
    }
    const checked = this.#schema.safeParse(value);
    if (checked.success) return checked.data;
    const [issue] = checked.error.issues;
    const where = issue.path.length === 0 ? "" : `${issue.path.join(".")}: `;
    throw new ProtocolError(`no message of this protocol: ${where}${issue.message}`);
  }
}
