/**
 * packet: the frames of gdb's remote serial protocol: `$payload#checksum`, acknowledgements, the
 * interrupt byte.
 *
 * Used by gdb-session.ts.
 * Holds   whatever arrives, no more than PACKET_BYTES_MAX of a packet is kept.
 *
 *   $ payload (} escapes the next byte, xor 0x20) # two hex digits: sum of the payload as sent
 */

/** Most bytes of a payload in either direction; told to gdb as PacketSize. */
export const PACKET_BYTES_MAX = 16384;

const DOLLAR = 0x24;
const HASH = 0x23;
const ESCAPE = 0x7d;
const STAR = 0x2a;
const INTERRUPT = 0x03;
const PLUS = 0x2b;
const MINUS = 0x2d;

/** What arrived. */
export type Incoming =
  /** A whole packet; the payload has no escapes left. */
  | { readonly kind: "packet"; readonly payload: Uint8Array }
  /** A packet whose checksum is wrong. */
  | { readonly kind: "damaged" }
  /** A packet longer than PACKET_BYTES_MAX, skipped. */
  | { readonly kind: "too-long" }
  | { readonly kind: "ack" }
  /** The last packet is wanted again. */
  | { readonly kind: "nack" }
  | { readonly kind: "interrupt" };

const HEX = "0123456789abcdef";

/** Two hex digits per byte. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte >> 4] + HEX[byte & 15];
  return text;
}

/** The bytes of a string of hex digits; null when it is none. */
export function fromHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(text)) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = Number.parseInt(text.slice(at * 2, at * 2 + 2), 16);
  }
  return bytes;
}

/** One char per byte. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** The bytes of a text with chars below 256. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** A payload as a packet, escaped. */
export function frame(payload: Uint8Array): Uint8Array {
  const bytes: number[] = [DOLLAR];
  let sum = 0;
  const put = (byte: number) => {
    bytes.push(byte);
    sum = (sum + byte) & 0xff;
  };
  for (const byte of payload) {
    if (byte === DOLLAR || byte === HASH || byte === ESCAPE || byte === STAR) {
      put(ESCAPE);
      put(byte ^ 0x20);
    } else put(byte);
  }
  bytes.push(HASH, HEX.charCodeAt(sum >> 4), HEX.charCodeAt(sum & 15));
  return Uint8Array.from(bytes);
}

function withoutEscapes(raw: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < raw.length; at++) {
    bytes.push(raw[at] === ESCAPE && at + 1 < raw.length ? raw[++at] ^ 0x20 : raw[at]);
  }
  return Uint8Array.from(bytes);
}

/** Cuts a stream of bytes into packets, acknowledgements and interrupts. */
export class PacketReader {
  #state: "between" | "payload" | "first" | "second" = "between";
  #raw: number[] = [];
  #sum = 0;
  #digit = "";
  #isTooLong = false;

  /** Everything that is complete with these bytes. */
  take(bytes: Uint8Array): Incoming[] {
    const all: Incoming[] = [];
    for (const byte of bytes) {
      const one = this.#step(byte);
      if (one !== null) all.push(one);
    }
    return all;
  }

  #begin(): void {
    this.#state = "payload";
    this.#raw = [];
    this.#sum = 0;
    this.#isTooLong = false;
  }

  #step(byte: number): Incoming | null {
    switch (this.#state) {
      case "between":
        if (byte === DOLLAR) this.#begin();
        else if (byte === INTERRUPT) return { kind: "interrupt" };
        else if (byte === PLUS) return { kind: "ack" };
        else if (byte === MINUS) return { kind: "nack" };
        return null; // noise on the line
      case "payload":
        this.#payload(byte);
        return null;
      case "first":
        this.#digit = String.fromCharCode(byte);
        this.#state = "second";
        return null;
      case "second":
        this.#state = "between";
        return this.#end(this.#digit + String.fromCharCode(byte));
    }
  }

  #payload(byte: number): void {
    // a new packet begins: the end of this one was lost
    if (byte === DOLLAR) this.#begin();
    else if (byte === HASH) this.#state = "first";
    else {
      this.#sum = (this.#sum + byte) & 0xff;
      if (this.#raw.length < PACKET_BYTES_MAX) this.#raw.push(byte);
      else this.#isTooLong = true;
    }
  }

  #end(digits: string): Incoming {
    const raw = this.#raw;
    this.#raw = [];
    if (fromHex(digits)?.[0] !== this.#sum) return { kind: "damaged" };
    if (this.#isTooLong) return { kind: "too-long" };
    return { kind: "packet", payload: withoutEscapes(raw) };
  }
}
