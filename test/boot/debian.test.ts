/**
 * The stock Debian kernel boots to a shell: on one hart and on four, on built-in SBI and behind
 * OpenSBI, with disks, in more memory than it touches; and the same files boot in QEMU.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Console } from "../../bench/process.ts";
import { findGuest, type PreparedGuest } from "../../src/node.ts";
import { type CliResult, rivulet, statsOf } from "../helpers/cli.ts";
import { DEBIAN_GUEST, OPENSBI, OPENSBI_DYNAMIC, QEMU, testNeeding } from "../helpers/need.ts";

const test = suite("boot/debian");
const BOOT_MS_MAX = 240_000;
const DISK_BYTES = 1 << 20;
const folder = mkdtempSync(join(tmpdir(), "rivulet-boot-"));
test.after(() => rmSync(folder, { recursive: true }));

/** Boots the guest, types `lines` and power-off, and checks that it came to that. */
async function boot(options: readonly string[], lines: readonly string[]): Promise<CliResult> {
  const input = [...lines, "poweroff -f", ""].join("\n");
  const args = ["run", "--guest", "debian", "--stats", ...options];
  const result = await rivulet(args, { input, guardMs: BOOT_MS_MAX });
  const tail = `${result.stdout.slice(-1000)}\n${result.stderr.slice(-1000)}`;
  assert.match(result.stdout, /^BOOT-OK\r?$/m, tail);
  assert.is(result.status, 0, tail);
  assert.is(statsOf(result).ended, "poweroff", tail);
  return result;
}

/** What the shell printed between the echo of a command and the next prompt. */
function answerTo(command: string, { stdout }: CliResult): string {
  const text = stdout.replaceAll("\r", "").replaceAll("\x1b[6n", "");
  const at = text.lastIndexOf(`# ${command}\n`);
  assert.ok(at >= 0, `"${command}" was not echoed: ${text.slice(-1000)}`);
  const begin = at + command.length + 3;
  return text.slice(begin, text.indexOf("\n~ # ", begin)).trim();
}

function disk(name: string): { path: string; bytes: Buffer } {
  const path = join(folder, name);
  const bytes = Buffer.alloc(DISK_BYTES);
  for (let at = 0; at < DISK_BYTES; at++) bytes[at] = (at * 7 + (at >> 9)) & 0xff;
  writeFileSync(path, bytes);
  return { path, bytes };
}

const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

testNeeding(
  test,
  [DEBIAN_GUEST],
  "it says who it is, reads and writes disks, ends with 0",
  async () => {
    const [plain, fixed, copied] = ["plain", "fixed", "copied"].map(disk);
    const disks = [plain.path, `${fixed.path},ro`, `${copied.path},cow`];
    const options = disks.flatMap((one) => ["--disk", one]);
    const result = await boot(options, [
      "uname -a",
      "md5sum /dev/vda",
      "echo changed | dd of=/dev/vda seek=3 conv=fsync 2>&1 | grep -c copied",
      "echo changed > /dev/vdb; echo status $?",
      "echo changed > /dev/vdc; sync; head -c 8 /dev/vdc",
      "head -c 16 /dev/hwrng | wc -c",
      "dmesg | grep -c -i -E 'oops|bug:|call trace'",
    ]);
    assert.match(answerTo("uname -a", result), /^Linux rivulet 6\.\S+ .*riscv64 GNU\/Linux$/);
    assert.match(answerTo("md5sum /dev/vda", result), new RegExp(`^${md5(plain.bytes)} `));
    assert.match(result.stdout, /^status 1\r?$/m, "a read-only disk took a write");
    assert.match(result.stdout, /^changed\r?\n/m, "the overlay did not hold what was written");
    assert.is(answerTo("head -c 16 /dev/hwrng | wc -c", result), "16");
    assert.is(answerTo("dmesg | grep -c -i -E 'oops|bug:|call trace'", result), "0");
    const written = readFileSync(plain.path);
    assert.is(written.toString("latin1", 3 * 512, 3 * 512 + 8), "changed\n");
    assert.equal(readFileSync(fixed.path), fixed.bytes);
    assert.equal(readFileSync(copied.path), copied.bytes);
  },
);

testNeeding(
  test,
  [DEBIAN_GUEST],
  "with four harts it has four processors, all at work",
  async () => {
    const spread = "for i in 0 1 2 3; do taskset $((1 << i)) sh -c 'echo at work' & done; wait";
    const result = await boot(
      ["--harts", "4"],
      ["grep -c ^processor /proc/cpuinfo", "nproc", spread],
    );
    assert.is(answerTo("grep -c ^processor /proc/cpuinfo", result), "4");
    assert.is(answerTo("nproc", result), "4");
    assert.is([...result.stdout.matchAll(/^at work\r?$/gm)].length, 4);
  },
);

testNeeding(test, [DEBIAN_GUEST], "a machine of Sv39 is one to the kernel", async () => {
  const result = await boot(["--mmu", "sv39"], ["grep mmu /proc/cpuinfo"]);
  assert.match(answerTo("grep mmu /proc/cpuinfo", result), /sv39/);
});

testNeeding(test, [DEBIAN_GUEST], "in 1 GiB of RAM it takes what it touches", async () => {
  const free = "grep MemTotal /proc/meminfo";
  const result = await boot(["--memory", "1G"], [free]);
  const kibibytes = Number(/(\d+) kB/.exec(answerTo(free, result))?.[1]);
  assert.ok(kibibytes > 900_000 && kibibytes <= 1 << 20, `MemTotal ${kibibytes} kB`);
  const usedBytes = (statsOf(result).framesUsed as number) * 4096;
  assert.ok(usedBytes > 20e6 && usedBytes < 160e6, `${usedBytes} bytes of frames`);
});

testNeeding(test, [DEBIAN_GUEST, OPENSBI], "behind Debian's OpenSBI it boots as well", async () => {
  const question = "dmesg | grep 'SBI implementation'";
  const result = await boot(["--firmware", OPENSBI_DYNAMIC], ["uname -m", question]);
  assert.match(result.stdout, /OpenSBI v\d/);
  assert.is(answerTo("uname -m", result), "riscv64");
  assert.match(answerTo(question, result), /ID=0x1 /);
});

testNeeding(test, [DEBIAN_GUEST, QEMU], "the same kernel and initrd boot in QEMU", async () => {
  const { folder: files, manifest } = findGuest("debian") as PreparedGuest;
  const kernel = ["-kernel", join(files, manifest.kernel), "-initrd", join(files, manifest.initrd)];
  const machine = ["-M", "virt", "-m", "256M", "-nographic", "-no-reboot"];
  const qemu = new Console([
    "qemu-system-riscv64",
    ...machine,
    ...kernel,
    "-append",
    manifest.append,
  ]);
  await qemu.expect(/BOOT-OK[\s\S]*# /, BOOT_MS_MAX / 1000);
  qemu.write("uname -a; poweroff -f\n");
  await qemu.expect(/\nLinux rivulet 6\.\S+ .*riscv64 GNU\/Linux\r?\n/, BOOT_MS_MAX / 1000);
  assert.is(await qemu.finish(BOOT_MS_MAX / 1000), 0);
});

test.run();
