/**
 * contenders: how each emulator is started on the same guest file.
 *
 * Used by suites and compare.
 * Holds   both get one hart, the same RAM, the same kernel command line, and no disk or network.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Command, type Finished, runToEnd } from "./process.ts";
import type { Program } from "./programs.ts";
import { qemuPath, ROOT } from "./toolchain.ts";

const SECONDS_MAX = 300;
const ELF_MEMORY = "128M";
const LINUX_MEMORY = "256M";

/** A Linux guest: paths of the kernel Image and the initrd, and the kernel command line. */
export interface LinuxGuest {
  kernel: string;
  initrd: string;
  append: string;
}

/** What one run of a program cost. */
export interface Cost {
  cpuSeconds: number;
  /** Retired in the guest; 0 when the contender does not count. */
  instructions: number;
}

/** QEMU on a bare-metal ELF, M-mode, no firmware. */
export function qemuElf(elf: string): Command {
  const machine = ["-M", "virt", "-cpu", "rv64", "-m", ELF_MEMORY, "-bios", "none"];
  return [qemuPath(), ...machine, "-nographic", "-kernel", elf];
}

/** The binary of the checkout at `root`, built; throws when it is not there. */
export function rivuletBinary(root: string): Command {
  const cli = join(root, "dist/src/cli.js");
  if (!existsSync(cli)) throw new Error(`${cli} is missing: npm run build`);
  return [process.execPath, cli];
}

/** Rivulet on the same ELF. */
export function rivuletElf(elf: string, root: string = ROOT): Command {
  return [...rivuletBinary(root), "run", elf, "--memory", ELF_MEMORY, "--stats"];
}

/** QEMU on a Linux guest, behind its own OpenSBI, console on the standard streams. */
export function qemuLinux(guest: LinuxGuest): Command {
  const machine = ["-M", "virt", "-cpu", "rv64", "-m", LINUX_MEMORY, "-nographic", "-nic", "none"];
  const files = ["-kernel", guest.kernel, "-initrd", guest.initrd];
  return [qemuPath(), ...machine, "-no-reboot", ...files, "-append", guest.append];
}

/** Rivulet on the same guest. */
export function rivuletLinux(guest: LinuxGuest, clock: "virtual" | "host"): Command {
  const files = ["--kernel", guest.kernel, "--initrd", guest.initrd];
  const machine = ["--memory", LINUX_MEMORY, "--append", guest.append, "--clock", clock];
  return [...rivuletBinary(ROOT), "run", ...files, ...machine, "--stats"];
}

/** The line of `--stats` in what Rivulet wrote to stderr: instructions retired. */
export function instructionsOf(stderr: string): number {
  for (const line of stderr.split("\n").reverse()) {
    if (!line.startsWith("{")) continue;
    const { instructions } = JSON.parse(line) as { instructions?: unknown };
    if (typeof instructions === "number" && instructions > 0) return instructions;
  }
  throw new Error(`no instruction count in ${JSON.stringify(stderr.slice(-300))}`);
}

function check(program: Program, command: Command, done: Finished): void {
  const said = /^checksum ([0-9a-f]{16})\r?$/m.exec(done.stdout)?.[1];
  if (done.status === 0 && said === program.checksum) return;
  throw new Error(
    `${command.join(" ")}: checksum ${said ?? "none"}, status ${done.status}; ` +
      `expected ${program.checksum}, status 0; stderr ${JSON.stringify(done.stderr.slice(-300))}`,
  );
}

/** Runs a program to its end under a command of this file and checks what it computed. */
export async function costOf(program: Program, command: Command): Promise<Cost> {
  const done = await runToEnd(command, SECONDS_MAX);
  check(program, command, done);
  const hasStats = command.includes("--stats");
  const instructions = hasStats ? instructionsOf(done.stderr) : 0;
  return { cpuSeconds: done.cpuSeconds, instructions };
}
