/**
 * guest-debian: finds the prepared Debian guest's kernel and initrd, preparing it when it is not
 * there.
 *
 * Used by run.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type LinuxGuest, rivuletBinary } from "./contenders.ts";
import { ROOT } from "./toolchain.ts";

function folder(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "rivulet/guests/debian");
}

function prepared(): LinuxGuest | undefined {
  const manifest = join(folder(), "manifest.json");
  if (!existsSync(manifest)) return undefined;
  const { kernel, initrd } = JSON.parse(readFileSync(manifest, "utf8")) as Record<string, unknown>;
  if (typeof kernel !== "string" || typeof initrd !== "string") {
    throw new Error(`${manifest}: names no kernel and initrd; rivulet guest remove debian`);
  }
  return { kernel: join(folder(), kernel), initrd: join(folder(), initrd) };
}

/**
 * The Debian guest of `rivulet guest prepare debian`, prepared now if need be (progress on stderr).
 */
export function debianGuest(): LinuxGuest {
  const found = prepared();
  if (found !== undefined) return found;
  const [program, ...args] = [...rivuletBinary(ROOT), "guest", "prepare", "debian"];
  const done = spawnSync(program, args, { stdio: ["ignore", 2, 2] });
  const made = done.status === 0 ? prepared() : undefined;
  if (made !== undefined) return made;
  throw new Error(`the Debian guest cannot be prepared: status ${done.status}`);
}
