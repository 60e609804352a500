/**
 * qemu-vm: a booted Debian in QEMU that can be saved and loaded: `savevm` and `loadvm` through QMP,
 * into a qcow2 file of its own.
 *
 * Owns    the process, its socket and its file, until `end`.
 * Used by suites/fork.ts and suites/snapshot.ts.
 * Holds   after a loadvm the guest stays silent for seconds or minutes (its timer is not re-armed):
 *         that comes last. Times are the real time of the command; the pause is what QEMU's own
 *         events say (STOP to RESUME, in microseconds).
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LinuxGuest, qemuLinux } from "./contenders.ts";
import { boot } from "./linux.ts";
import type { Console } from "./process.ts";

const IMAGE_SIZE = "2G";
const ANSWER_MS_MAX = 120_000;

/** What a command of the monitor took. */
export interface MonitorTimes {
  readonly totalMs: number;
  /** The guest stood still for this long; 0 when QEMU sent no such events. */
  readonly pausedMs: number;
}

interface Message {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
  readonly event?: string;
  readonly timestamp?: { readonly seconds: number; readonly microseconds: number };
}

/** One QEMU with a monitor. */
export class QemuVm {
  readonly console: Console;
  readonly #folder: string;
  readonly #socket: Socket;
  readonly #messages: Message[] = [];
  #text = "";
  #wake: () => void = () => {};

  private constructor(console: Console, folder: string, socket: Socket) {
    this.console = console;
    this.#folder = folder;
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (part: string) => {
      const lines = (this.#text + part).split("\n");
      this.#text = lines.pop() ?? "";
      for (const line of lines) this.#messages.push(JSON.parse(line) as Message);
      this.#wake();
    });
    socket.on("error", () => {});
  }

  /** Boots to the shell. */
  static async boot(guest: LinuxGuest): Promise<QemuVm> {
    const folder = mkdtempSync(join(tmpdir(), "rivulet-qemu-"));
    const image = join(folder, "vm.qcow2");
    const made = spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", image, IMAGE_SIZE]);
    if (made.status !== 0) throw new Error(`qemu-img: ${String(made.stderr ?? made.error)}`);
    const path = join(folder, "qmp");
    const drive = ["-drive", `if=none,id=d0,format=qcow2,file=${image}`];
    const extras = [
      "-device",
      "virtio-blk-device,drive=d0",
      "-qmp",
      `unix:${path},server=on,wait=off`,
    ];
    try {
      const console = await boot([...qemuLinux(guest), ...drive, ...extras]);
      const socket = connect(path);
      const vm = new QemuVm(console, folder, socket);
      await vm.#command("qmp_capabilities");
      return vm;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Bytes of the file that snapshots go to. */
  get imageBytes(): number {
    return statSync(join(this.#folder, "vm.qcow2")).blocks * 512;
  }

  async #command(execute: string, args?: Record<string, unknown>): Promise<readonly Message[]> {
    this.#messages.length = 0;
    this.#socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    const late = setTimeout(() => this.#socket.destroy(), ANSWER_MS_MAX);
    try {
      for (;;) {
        const error = this.#messages.find((message) => message.error !== undefined)?.error;
        if (error !== undefined) throw new Error(`QEMU: ${execute}: ${error.desc}`);
        if (this.#messages.some((message) => "return" in message)) return this.#messages;
        if (this.#socket.destroyed) throw new Error(`QEMU: ${execute}: no answer`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          this.#socket.once("close", () => resolve());
        });
      }
    } finally {
      clearTimeout(late);
    }
  }

  /** A command of the human monitor, for instance `savevm one`. */
  async monitor(line: string): Promise<MonitorTimes> {
    const begin = performance.now();
    const messages = await this.#command("human-monitor-command", { "command-line": line });
    const totalMs = performance.now() - begin;
    const said = messages.find((message) => "return" in message)?.return;
    if (said !== "") throw new Error(`QEMU: ${line}: ${String(said).trim()}`);
    const at = (event: string) => {
      const { timestamp } = messages.find((message) => message.event === event) ?? {};
      return timestamp === undefined ? 0 : timestamp.seconds * 1e3 + timestamp.microseconds / 1e3;
    };
    return { totalMs, pausedMs: Math.max(0, at("RESUME") - at("STOP")) };
  }

  async end(): Promise<void> {
    this.#socket.destroy();
    await this.console.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
