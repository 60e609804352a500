/**
 * files: whole files, with errors that name the path and what is wrong with it.
 *
 * Used by src/cli.ts.
 */
import { readFile } from "node:fs/promises";
import { VmError } from "../../errors.ts";

const REASONS: Record<string, string> = {
  EACCES: "it may not be read",
  EISDIR: "it is a folder",
  ENOENT: "there is no such file",
};

/** The bytes of the file at `path`. Throws VmError "bad-file". */
export async function readWholeFile(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    const { code = "", message } = cause as NodeJS.ErrnoException;
    const reason = REASONS[code] ?? message;
    throw new VmError("bad-file", `${path}: ${reason}; a readable file is accepted`, { cause });
  }
}
