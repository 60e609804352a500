/**
 * qemu: runs a batch in QEMU 7.2. Its RAM is a file, filled before and read after the run.
 *
 * Used by the tests and campaigns of this folder.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Batch } from "./batch.ts";
import { RAM_BYTES } from "./layout.ts";

const QEMU = "qemu-system-riscv64";
const GUARD_MS = 30_000;
const PAGE_BYTES = 4096;
const ZEROS = new Uint8Array(PAGE_BYTES);
/** Extensions that the core has not are off, for their instructions must trap on both sides. */
const HART =
  "rv64,h=off,zba=on,zbb=on,zbs=on,zbc=off,sstc=on,svpbmt=off,svnapot=off,svinval=off,x-smaia=on,x-ssaia=on";

/** True when the emulator is installed (Debian package qemu-system-misc). */
export const hasQemu = spawnSync(QEMU, ["--version"]).status === 0;

/** Writes the pages that are not zero; the rest of the file stays a hole. */
export function writeSparse(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const page = bytes.subarray(at, at + PAGE_BYTES);
    if (Buffer.compare(page, ZEROS) !== 0) writeSync(file, page, 0, page.length, at);
  }
}

/** Runs a batch to its end; returns as many bytes of RAM as the batch has. */
export function runInQemu(batch: Batch): Uint8Array {
  const shared = "/dev/shm";
  const folder = mkdtempSync(join(existsSync(shared) ? shared : tmpdir(), "rivulet-diff-"));
  try {
    const path = join(folder, "ram");
    const file = openSync(path, "w+");
    ftruncateSync(file, RAM_BYTES);
    writeSparse(file, batch.bytes);
    const memory = `memory-backend-file,id=ram,size=${RAM_BYTES},mem-path=${path},share=on`;
    const options = ["-M", "virt,memory-backend=ram", "-object", memory, "-cpu", HART];
    // a second hart, parked by the runner, makes QEMU do atomics atomically
    const size = ["-m", `${RAM_BYTES >> 20}M`, "-smp", "2", "-bios", "none"];
    const quiet = ["-display", "none", "-serial", "none", "-monitor", "none", "-nodefaults"];
    const run = spawnSync(QEMU, [...options, ...size, ...quiet], { timeout: GUARD_MS });
    if (run.status !== 0) {
      const why = run.signal ?? `status ${run.status}`;
      throw new Error(`QEMU ended with ${why}, batch seed ${batch.seed}: ${run.stderr}`);
    }
    const bytes = new Uint8Array(batch.bytes.length);
    readSync(file, bytes, 0, bytes.length, 0);
    closeSync(file);
    return bytes;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
