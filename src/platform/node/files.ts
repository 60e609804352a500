/**
 * files: whole files, files that grow and folders, with errors that name the path and what is wrong
 * with it.
 *
 * Used by src/cli.ts.
 */
import {
  type FileHandle,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { resolve } from "node:path";
import { VmError } from "../../errors.ts";
import { createStoreFile, openStoreFile } from "./store-directory.ts";

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

const WRITE_REASONS: Record<string, string> = {
  EACCES: "it may not be written",
  EISDIR: "it is a folder",
  ENOENT: "its folder does not exist",
  ENOSPC: "no space is left",
  EROFS: "it lies on a read-only file system",
};

function writeError(path: string, cause: unknown): VmError {
  const { code = "", message } = cause as NodeJS.ErrnoException;
  return new VmError("io", `${path}: ${WRITE_REASONS[code] ?? message}`, { cause });
}

let drafts = 0;

/** A name beside `path` that nobody else writes to, for what becomes `path` when it is whole. */
export function draftOf(path: string): string {
  return `${path}.${process.pid}-${++drafts}.new`;
}

/**
 * Writes a file as a whole: its old content, or the new one, is there at any time. Pipes and
 * devices are written as they are. Throws VmError "io".
 */
export async function writeWholeFile(path: string, bytes: Uint8Array): Promise<void> {
  const absolute = resolve(path);
  const draft = draftOf(absolute);
  try {
    const found = await stat(absolute).catch(() => null);
    if (found !== null && !found.isFile()) {
      await writeFile(absolute, bytes);
      return;
    }
    await writeFile(draft, bytes);
    await rename(draft, absolute);
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => {});
    throw writeError(path, cause);
  }
}

/** A file made anew and written piece by piece, in order. Throws VmError "io". */
export async function openFileWriter(path: string) {
  let file: FileHandle;
  try {
    file = await open(path, "w");
  } catch (cause) {
    throw writeError(path, cause);
  }
  let failure: VmError | null = null;
  let last: Promise<void> = Promise.resolve();
  return {
    write: (bytes: Uint8Array): void => {
      last = last.then(async () => {
        if (failure !== null) return;
        try {
          await file.writeFile(bytes);
        } catch (cause) {
          failure = writeError(path, cause);
        }
      });
    },
    /** Throws what went wrong on the way. */
    close: async (): Promise<void> => {
      await last;
      await file.close();
      if (failure !== null) throw failure;
    },
  };
}

/**
 * A file that is written in order and takes its name when it is whole and durable; until then it is
 * called PATH.part. Throws "io", also for a name of what is no file.
 */
export async function openFileSink(path: string) {
  const there = await stat(path).catch(() => null);
  if (there?.isFile() === false) {
    const what = there.isDirectory() ? "it is a folder" : "it is no file";
    throw new VmError("io", `${path}: ${what}`);
  }
  const part = `${path}.part`;
  const file = await createStoreFile(part);
  let at = 0;
  return {
    write: async (bytes: Uint8Array): Promise<void> => {
      await file.write(at, bytes);
      at += bytes.length;
    },
    /** `isWhole` false: nothing of it stays. */
    close: async (isWhole: boolean): Promise<void> => {
      try {
        if (isWhole) await file.sync();
      } finally {
        file.close();
      }
      try {
        if (isWhole) await rename(part, path);
        else await rm(part, { force: true });
      } catch (cause) {
        throw writeError(path, cause);
      }
    },
  };
}

/** A file that is read anywhere. Throws "not-found", "io". */
export async function openFileSource(path: string) {
  const file = openStoreFile(path);
  return {
    bytes: file.bytes,
    read: (offset: number, target: Uint8Array): void => {
      if (file.read(offset, target) === target.length) return;
      throw new VmError("io", `${path} ends before byte ${offset + target.length}`);
    },
    close: async (): Promise<void> => file.close(),
  };
}

/** Names in a folder, those of folders with a slash; nothing when it cannot be read. */
export async function listFolder(path: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  } catch {
    return [];
  }
}
