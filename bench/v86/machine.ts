/**
 * machine: v86 as a process: boots the Linux that the arguments name, with its serial line on the
 * standard streams, as `rivulet run` does.
 *
 *   node machine.js KERNEL INITRD BIOS VGA_BIOS [COMMAND_LINE]
 *
 * SIGUSR2 saves its state in memory, SIGHUP restores that; the time is told on stderr.
 *
 * Used by suites/v86.ts, which times the process.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { V86 } from "v86";

const [kernel, initrd, bios, vgaBios, append = "console=ttyS0"] = process.argv.slice(2);
const MEBIBYTE = 1 << 20;

const image = (path: string) => {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return { buffer: buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer };
};

const emulator = new V86({
  wasm_path: fileURLToPath(import.meta.resolve("v86/build/v86.wasm")),
  memory_size: 256 * MEBIBYTE,
  vga_memory_size: 2 * MEBIBYTE,
  bios: image(bios),
  vga_bios: image(vgaBios),
  bzimage: image(kernel),
  initrd: image(initrd),
  cmdline: append,
  autostart: true,
  disable_speaker: true,
});

let pending: number[] = [];
emulator.add_listener("serial0-output-byte", (byte: number) => {
  if (pending.length === 0) {
    setImmediate(() => {
      process.stdout.write(Uint8Array.from(pending));
      pending = [];
    });
  }
  pending.push(byte);
});
process.stdin.on("data", (bytes: Buffer) => emulator.serial0_send(bytes.toString("latin1")));
process.stdin.on("end", () => process.exit(0));

// For suites/fork.ts and suites/snapshot.ts: see snapshots.ts.
let state = new ArrayBuffer(0);
async function timedState(what: string, work: () => Promise<void>): Promise<void> {
  const begin = performance.now();
  await work();
  const ms = performance.now() - begin;
  process.stderr.write(`v86 ${what} ${JSON.stringify({ ms, bytes: state.byteLength })}\n`);
}
process.on("SIGUSR2", () => {
  void timedState("saved", async () => {
    state = await emulator.save_state();
  });
});
process.on("SIGHUP", () => {
  void timedState("restored", () => emulator.restore_state(state));
});
