// What setup may do here: packages are installed only as root on Debian.
import { existsSync, readFileSync } from "node:fs";

/** True as root on Debian with apt. */
export function isRootOnDebian() {
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return false;
  try {
    return /^ID="?debian"?$/m.test(readFileSync("/etc/os-release", "utf8"));
  } catch {
    return false;
  }
}
