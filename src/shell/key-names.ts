/**
 * key-names: keys by name, as the bytes that a terminal sends for them.
 *
 * Used by commands/vm.ts (`vm send-key`).
 */
import { UsageError } from "./command.ts";

const NAMED: Readonly<Record<string, string>> = {
  enter: "\r",
  tab: "\t",
  esc: "\x1b",
  space: " ",
  backspace: "\x7f",
  up: "\x1b[A",
  down: "\x1b[B",
  right: "\x1b[C",
  left: "\x1b[D",
  home: "\x1b[H",
  end: "\x1b[F",
  insert: "\x1b[2~",
  delete: "\x1b[3~",
  pageup: "\x1b[5~",
  pagedown: "\x1b[6~",
  f1: "\x1bOP",
  f2: "\x1bOQ",
  f3: "\x1bOR",
  f4: "\x1bOS",
  f5: "\x1b[15~",
  f6: "\x1b[17~",
  f7: "\x1b[18~",
  f8: "\x1b[19~",
  f9: "\x1b[20~",
  f10: "\x1b[21~",
  f11: "\x1b[23~",
  f12: "\x1b[24~",
};

/** Names for completion and help; single characters, ctrl-X and alt-X come on top. */
export const KEY_NAMES: readonly string[] = Object.keys(NAMED);

/** The bytes of a key: a name, one character, ctrl-X, alt-KEY. Throws UsageError. */
export function keyBytes(name: string): Uint8Array {
  const text = keyText(name.length === 1 ? name : name.toLowerCase());
  if (text !== null) return new TextEncoder().encode(text);
  const accepted = `single characters, ctrl-X, alt-KEY, ${KEY_NAMES.join(", ")}`;
  throw new UsageError(`key "${name}": accepted are ${accepted}`);
}

function keyText(name: string): string | null {
  if ([...name].length === 1) return name;
  if (Object.hasOwn(NAMED, name)) return NAMED[name];
  // the control codes are the codes of @ A B ... _ without the higher bits
  const control = /^(?:ctrl-|c-|\^)([a-z@[\\\]^_])$/.exec(name)?.[1];
  if (control !== undefined) return String.fromCharCode(control.toUpperCase().charCodeAt(0) & 0x1f);
  const alt = /^alt-(.+)$/.exec(name)?.[1];
  const behind = alt === undefined ? null : keyText(alt);
  return behind === null ? null : `\x1b${behind}`;
}
