/**
 * guest-cpio: writes a cpio archive in the "newc" format, which Linux unpacks as its first root
 * file system.
 *
 * Used by guest-initrd.ts.
 * Holds   the same entries give the same bytes: no times, owner root, inode numbers in order.
 *
 *   entry magic "070701" | 13 numbers of 8 hex digits | name, NUL, padding to 4 | content, padding
 *   to 4
 *   numbers inode mode uid gid links mtime size majors and minors (4) name-bytes check
 *   end     an entry named "TRAILER!!!"
 */
import { VmError } from "../../errors.ts";

/** One file, folder, symbolic link or character device. */
export type CpioEntry =
  | {
      readonly kind: "file";
      readonly path: string;
      readonly mode: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "folder"; readonly path: string; readonly mode: number }
  | { readonly kind: "link"; readonly path: string; readonly to: string }
  | {
      readonly kind: "character-device";
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

/** The type bits of a mode, as in <sys/stat.h>. */
const TYPE = { file: 0o100000, folder: 0o040000, link: 0o120000, "character-device": 0o020000 };
const NUMBER_MAX = 0xffff_ffff;

const encoder = new TextEncoder();
const padding = (bytes: number) => new Uint8Array((4 - (bytes % 4)) % 4);

function head(numbers: readonly number[]): Uint8Array {
  const digits = numbers.map((value) => value.toString(16).padStart(8, "0"));
  return encoder.encode("070701" + digits.join(""));
}

function content(entry: CpioEntry): Uint8Array {
  if (entry.kind === "file") return entry.bytes;
  if (entry.kind === "link") return encoder.encode(entry.to);
  return new Uint8Array(0);
}

function pieces(entry: CpioEntry, inode: number): Uint8Array[] {
  const name = encoder.encode(entry.path + "\0");
  const body = content(entry);
  if (body.length > NUMBER_MAX) {
    throw new VmError("limit", `${entry.path} has ${body.length} bytes: newc holds up to 4 GiB`);
  }
  const mode = TYPE[entry.kind] | (entry.kind === "link" ? 0o777 : entry.mode);
  const device = entry.kind === "character-device" ? [entry.major, entry.minor] : [0, 0];
  const links = entry.kind === "folder" ? 2 : 1;
  const numbers = [inode, mode, 0, 0, links, 0, body.length, 0, 0, ...device, name.length, 0];
  const header = head(numbers);
  return [header, name, padding(header.length + name.length), body, padding(body.length)];
}

/**
 * The archive of `entries`, in their order: a folder stands before what lies in it. Paths have no
 * leading slash.
 */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const all = entries.flatMap((entry, index) => pieces(entry, index + 1));
  const trailer = encoder.encode("TRAILER!!!\0");
  const header = head([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, trailer.length, 0]);
  all.push(header, trailer, padding(header.length + trailer.length));
  return new Uint8Array(Buffer.concat(all));
}
