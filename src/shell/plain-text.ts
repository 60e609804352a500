/**
 * plain-text: console output as text for people and programs: no escape sequences, no carriage
 * returns, no other control characters.
 *
 * Used by commands/console.ts.
 */

/** Escape sequences of ECMA-48: CSI, OSC, the other strings, charset choices, single letters. */
const SEQUENCES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\|\x1b[ -/]+[0-~]|\x1b[0-OQ-WYZ\\`-~]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const BEGINNING = /[\x1b\x9b]/;
/** A sequence longer than this is none. */
const SEQUENCE_MAX = 4096;

/** Takes bytes in pieces of any size. */
export class PlainText {
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** The text of what came, but for a sequence that may go on. */
  take(bytes: Uint8Array): string {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const clean = text.replace(SEQUENCES, "");
    const cut = clean.search(BEGINNING);
    const isCut = cut >= 0 && clean.length - cut < SEQUENCE_MAX;
    this.#rest = isCut ? clean.slice(cut) : "";
    return (isCut ? clean.slice(0, cut) : clean).replace(CONTROLS, "");
  }
}

/** The text of all these bytes. */
export function plainText(bytes: Uint8Array): string {
  return new PlainText().take(bytes);
}
