/**
 * case-files: the files that the examples of the commands name.
 *
 * Used by test/shell/cases.ts.
 */

import { builtinGuest } from "../../src/node.ts";

/** By absolute path, in a fake world whose folder is /here. */
export function guestProgramFiles(): Map<string, Uint8Array> {
  const text = (lines: string) => new TextEncoder().encode(lines);
  return new Map([
    ["/here/machines.rv", text("set disk root.img\nalias ll 'vm list'\n")],
    ["/here/root.img", new Uint8Array(1 << 20)],
    ["/here/Image", builtinGuest()],
    ["/here/System.map", text("0000000080000000 T _start\n0000000080000100 t handler\n")],
  ]);
}
