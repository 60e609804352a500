/**
 * guest-debian: the prepared Debian guest's kernel and initrd; prepares the guest when it is not
 * there.
 *
 * Used by run.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { findGuest } from "../src/platform/node/guest-store.ts";
import { type LinuxGuest, rivuletBinary } from "./contenders.ts";
import { ROOT } from "./toolchain.ts";

const NAME = "debian";

function prepared(): LinuxGuest | undefined {
  const found = findGuest(NAME);
  if (found === null) return undefined;
  const { kernel, initrd, append } = found.manifest;
  return { kernel: join(found.folder, kernel), initrd: join(found.folder, initrd), append };
}

/** The guest of `rivulet guest prepare debian`, prepared now if need be (progress on stderr). */
export function debianGuest(): LinuxGuest {
  const found = prepared();
  if (found !== undefined) return found;
  const [program, ...args] = [...rivuletBinary(ROOT), "guest", "prepare", NAME];
  const done = spawnSync(program, args, { stdio: ["ignore", 2, 2] });
  const made = done.status === 0 ? prepared() : undefined;
  if (made !== undefined) return made;
  throw new Error(`the Debian guest cannot be prepared: status ${done.status}`);
}
