/**
 * guest-initrd: the first root file system of the Debian guest: busybox, the virtio modules, the
 * agent, and an /init that ends at a shell on the console.
 *
 * Used by guest-debian.ts.
 * Holds   deterministic: the same busybox and modules give the same bytes.
 *
 *   /init /bin/busybox /bin/APPLET -> busybox /bin/rivulet-agent /sbin -> bin
 *   /lib/modules/NAME.ko in the order to load
 *   /dev/console for the messages of /init before devtmpfs is mounted
 */
import { gzipSync } from "node:zlib";
import { VmError } from "../../errors.ts";
import { guestAgent } from "../../guest/agent.ts";
import { AGENT_PORT_NAME } from "../../guest/agent-protocol.ts";
import { type CpioEntry, writeCpio } from "./guest-cpio.ts";

/** A kernel module, uncompressed. */
export interface GuestModule {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What the initrd is made of. */
export interface InitrdParts {
  readonly busybox: Uint8Array;
  /** In the order in which they load. */
  readonly modules: readonly GuestModule[];
}

/**
 * The agent starts where the machine has a virtio console device (3): its port gets its name a
 * moment after the driver was loaded. An agent that somebody killed comes back.
 * Leaving the shell switches the machine off: process 1 may not end, and nothing else is left to
 * do.
 */
const INIT = `#!/bin/sh
# First process of the Debian guest of Rivulet.
export PATH=/bin HOME=/root TERM="\${TERM:-linux}"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /dev/pts
mount -t devpts devpts /dev/pts
for module in /lib/modules/*.ko; do insmod "$module"; done
hostname rivulet

serve() {
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    for name in /sys/class/virtio-ports/*/name; do
      port="\${name%/name}"
      port="/dev/\${port##*/}"
      [ -f "$name" ] && [ "$(cat "$name")" = ${AGENT_PORT_NAME} ] || continue
      while rivulet-agent <>"$port" || sleep 1; do :; done
    done
    sleep 0.1
  done
}
for kind in /sys/bus/virtio/devices/*/device; do
  if [ -f "$kind" ] && read id <"$kind" && [ "$id" = 0x0003 ]; then serve & break; fi
done

echo BOOT-OK
cd /root
setsid cttyhack sh
poweroff -f
`;

const FOLDERS = ["bin", "dev", "lib", "lib/modules", "mnt", "proc", "root", "run", "sys", "tmp"];

/**
 * busybox keeps the names of its applets in alphabetical order, each ended by NUL; these are always
 * the first.
 */
const APPLETS_BEGIN = Buffer.from("[\0[[\0");
const APPLETS_NEEDED = ["cttyhack", "insmod", "mount", "poweroff", "setsid", "sh"];
const APPLET_NAME = /^[a-z0-9_.[+-]+$/;
const APPLETS_MAX = 1000;

/**
 * The applets a busybox was built with. Throws VmError "bad-file" when one that /init needs is not
 * there.
 */
export function busyboxApplets(busybox: Uint8Array): string[] {
  const bytes = Buffer.from(busybox.buffer, busybox.byteOffset, busybox.length);
  const names: string[] = [];
  let at = bytes.indexOf(APPLETS_BEGIN);
  while (at >= 0 && names.length < APPLETS_MAX) {
    const end = bytes.indexOf(0, at);
    const name = bytes.toString("latin1", at, end);
    if (end < 0 || !APPLET_NAME.test(name)) break;
    names.push(name);
    at = end + 1;
  }
  const lacking = APPLETS_NEEDED.filter((name) => !names.includes(name));
  if (lacking.length > 0) {
    const text = `busybox lacks ${lacking.join(", ")} (${names.length} applets found)`;
    throw new VmError("bad-file", `${text}: accepted is one built with ${APPLETS_NEEDED}`);
  }
  return names.filter((name) => name !== "busybox");
}

function entries({ busybox, modules }: InitrdParts): CpioEntry[] {
  const text = new TextEncoder();
  const list: CpioEntry[] = FOLDERS.map((path) => ({
    kind: "folder",
    path,
    mode: path === "tmp" ? 0o1777 : 0o755,
  }));
  list.push({ kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 });
  list.push({ kind: "link", path: "sbin", to: "bin" });
  list.push({ kind: "file", path: "init", mode: 0o755, bytes: text.encode(INIT) });
  list.push({ kind: "file", path: "bin/busybox", mode: 0o755, bytes: busybox });
  list.push({ kind: "file", path: "bin/rivulet-agent", mode: 0o755, bytes: guestAgent() });
  for (const applet of busyboxApplets(busybox)) {
    list.push({ kind: "link", path: `bin/${applet}`, to: "busybox" });
  }
  modules.forEach(({ name, bytes }, index) => {
    const path = `lib/modules/${String(index).padStart(2, "0")}-${name}.ko`;
    list.push({ kind: "file", path, mode: 0o644, bytes });
  });
  return list;
}

/** The initrd, gzip-compressed. */
export function buildInitrd(parts: InitrdParts): Uint8Array {
  return new Uint8Array(gzipSync(writeCpio(entries(parts)), { level: 9 }));
}
