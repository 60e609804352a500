/**
 * guest-store: prepared and imported guests in the user's cache directory, one folder each, found
 * by its manifest.
 *
 * Owns    ${XDG_CACHE_HOME:-~/.cache}/rivulet/guests/.
 * Used by guest-debian.ts, which fills it, and by `rivulet guest`, `vm create --guest` and `run`.
 * Holds   a guest is there whole or not at all: it is made in a folder of its own, then renamed.
 *         Who comes second finds the first one's and drops his own.
 */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { checkDiskBytes } from "../../device/block/contract.ts";
import { VmError } from "../../errors.ts";
import { copyDiskFile, diskFileFacts } from "./disk-files.ts";

/** One file of a guest. */
export interface GuestFile {
  readonly bytes: number;
  readonly sha256: string;
}

/** manifest.json of a prepared guest. */
export interface GuestManifest {
  /** Of this file and of what /init does; a guest of another format is prepared again. */
  readonly format: number;
  readonly name: string;
  readonly release: string;
  /** File names in the guest's folder. */
  readonly kernel: string;
  /** "" when it has none. */
  readonly initrd: string;
  /** A disk to boot with, copied on write; none in most. */
  readonly disk?: string;
  /** Kernel command line to boot with. */
  readonly append: string;
  readonly packages: readonly { readonly name: string; readonly version: string }[];
  readonly modules: readonly string[];
  readonly files: Readonly<Record<string, GuestFile>>;
}

/** A guest that is there. */
export interface PreparedGuest {
  readonly folder: string;
  readonly manifest: GuestManifest;
}

/** Format that this version writes and reads: 2 has the agent in the initrd. */
export const GUEST_FORMAT = 2;
const MANIFEST = "manifest.json";
const STALE_MS = 3_600_000;
const NAME = /^[a-z][a-z0-9-]{0,30}$/;
/** Release of a guest that was not prepared but brought along. */
const IMPORTED = "imported";

/** Folder of all prepared guests. */
export function guestsFolder(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "rivulet", "guests");
}

function readManifest(folder: string): GuestManifest | null {
  try {
    const manifest: GuestManifest = JSON.parse(readFileSync(join(folder, MANIFEST), "utf8"));
    if (manifest.format !== GUEST_FORMAT || manifest.name !== basename(folder)) return null;
    const isWhole = Object.entries(manifest.files).every(([name, { bytes }]) => {
      return statSync(join(folder, basename(name))).size === bytes;
    });
    return isWhole ? manifest : null;
  } catch {
    return null; // nothing there, or no manifest of ours
  }
}

/** The prepared guest `name`, or null when it is not there, not whole, or of another format. */
export function findGuest(name: string): PreparedGuest | null {
  if (!NAME.test(name)) return null;
  const folder = join(guestsFolder(), name);
  const manifest = readManifest(folder);
  return manifest === null ? null : { folder, manifest };
}

/** Every prepared guest, by name. */
export function listGuests(): PreparedGuest[] {
  if (!existsSync(guestsFolder())) return [];
  const names = readdirSync(guestsFolder()).sort();
  return names.map(findGuest).filter((guest) => guest !== null);
}

/** Removes a guest. Throws VmError "not-found". */
export function removeGuest(name: string): void {
  const folder = join(guestsFolder(), name);
  if (!NAME.test(name) || !existsSync(folder)) {
    const there = listGuests().map(({ manifest }) => manifest.name);
    const text = there.length > 0 ? `prepared are ${there.join(", ")}` : "none is prepared";
    throw new VmError("not-found", `guest "${name}" is not prepared: ${text}`);
  }
  // Out of sight first, so that a reader never finds half of it.
  const going = newFolder(name);
  renameSync(folder, join(going, name));
  rmSync(going, { recursive: true, force: true });
}

/** Size and hash of bytes, for the manifest. */
export function describeFile(bytes: Uint8Array): GuestFile {
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** Does work on files; what the system says against it is thrown as VmError "io". */
export async function onFiles<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof VmError) throw cause;
    throw new VmError("io", `${what}: ${(cause as Error).message}`, { cause });
  }
}

/** An empty folder beside the guests, to make one in; it belongs to this process. */
export function newFolder(name: string): string {
  mkdirSync(guestsFolder(), { recursive: true });
  return mkdtempSync(join(guestsFolder(), `.${name}-${process.pid}-`));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * Removes what killed processes left behind: folders of no living process, an hour old and more.
 */
export function sweep(): void {
  if (!existsSync(guestsFolder())) return;
  for (const entry of readdirSync(guestsFolder())) {
    const pid = Number(/^\.[a-z0-9-]+-(\d+)-[^-]+$/.exec(entry)?.[1] ?? Number.NaN);
    const path = join(guestsFolder(), entry);
    if (Number.isNaN(pid) || isAlive(pid)) continue;
    const isOld = Date.now() - statSync(path).mtimeMs > STALE_MS;
    if (isOld) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * Makes `made` (a folder from newFolder, with the guest's files in it) the guest of that name,
 * replacing one of another format or, with `isReplacing`, any. Returns the guest that is there in
 * the end.
 */
export function installGuest(
  made: string,
  manifest: GuestManifest,
  isReplacing: boolean,
): PreparedGuest {
  writeFileSync(join(made, MANIFEST), JSON.stringify(manifest, null, 2) + "\n");
  const folder = join(guestsFolder(), manifest.name);
  const attempts = 3;
  for (let attempt = 1; ; attempt++) {
    const present = isReplacing ? null : findGuest(manifest.name);
    if (present !== null) {
      rmSync(made, { recursive: true, force: true });
      return present;
    }
    try {
      if (existsSync(folder)) {
        const going = newFolder(manifest.name);
        renameSync(folder, join(going, manifest.name));
        rmSync(going, { recursive: true, force: true });
      }
      renameSync(made, folder);
      return { folder, manifest };
    } catch (cause) {
      // Another process was quicker between the look and the rename.
      if (attempt < attempts) continue;
      throw new VmError("io", `cannot put the guest into ${folder}`, { cause });
    }
  }
}

/** What a guest is made of that somebody brings along. */
export interface GuestParts {
  /** A Linux Image or an ELF64, checked by the caller. */
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly append: string;
  /** Path of a raw disk. */
  readonly disk?: string;
  readonly isReplacing?: boolean;
  readonly signal?: AbortSignal;
  /** Of the disk, which may be large. */
  onPercent?(percent: number): void;
}

function checkNewName(name: string, isReplacing: boolean): void {
  if (!NAME.test(name)) {
    const accepted = "accepted are 1 to 31 lower-case letters, digits and dashes, a letter first";
    throw new VmError("bad-argument", `guest "${name}": ${accepted}`);
  }
  if (isReplacing || !existsSync(join(guestsFolder(), name))) return;
  throw new VmError("bad-argument", `guest "${name}" is there already; --force replaces it`);
}

/**
 * Copies the parts into the store as guest `name`. Throws VmError "bad-argument" for a bad name or
 * one that is taken, "bad-file" for the disk, "io"; the store is then as it was.
 */
export async function importGuest(name: string, parts: GuestParts): Promise<PreparedGuest> {
  const { disk, isReplacing = false } = parts;
  checkNewName(name, isReplacing);
  if (disk !== undefined) checkDiskBytes((await diskFileFacts(disk)).bytes, `disk ${disk}`);
  return onFiles(`guest ${name}`, () => copyIn(name, parts));
}

async function copyIn(name: string, parts: GuestParts): Promise<PreparedGuest> {
  const { kernel, initrd, append, disk, isReplacing = false } = parts;
  sweep();
  const made = newFolder(name);
  try {
    const files: Record<string, GuestFile> = { kernel: describeFile(kernel) };
    writeFileSync(join(made, "kernel"), kernel);
    if (initrd !== undefined) {
      files["initrd"] = describeFile(initrd);
      writeFileSync(join(made, "initrd"), initrd);
    }
    if (disk !== undefined) files["disk"] = await copyDiskFile(disk, join(made, "disk"), parts);
    const manifest: GuestManifest = {
      ...{
        format: GUEST_FORMAT,
        name,
        release: IMPORTED,
        append,
        packages: [],
        modules: [],
        files,
      },
      ...{ kernel: "kernel", initrd: initrd === undefined ? "" : "initrd" },
      ...(disk === undefined ? {} : { disk: "disk" }),
    };
    checkNewName(name, isReplacing); // a disk takes its time
    return installGuest(made, manifest, isReplacing);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}
