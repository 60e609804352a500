/**
 * migration-qemu: the same guest, moved by QEMU from one process to another over loopback.
 *
 * Owns    both processes and their monitors, until the move is over.
 * Used by suites/migration.ts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { qemuPath } from "./toolchain.ts";

const POLL_MS = 20;

/** What a move took. */
export interface QemuMove {
  readonly hasConverged: boolean;
  readonly totalMs: number;
  /** As QEMU counts it. */
  readonly downtimeMs: number;
  readonly bytes: number;
  /** From the guest's last beat here to its first there; null when it does not beat. */
  readonly gapMs: number | null;
}

const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** One QEMU and its monitor. */
class Qemu {
  readonly child: ChildProcess;
  /** When it said something first, and last. */
  firstMs = 0;
  lastMs = 0;
  text = "";
  #socket: Socket | null = null;
  #buffer = "";
  readonly #answers: ((answer: Record<string, unknown>) => void)[] = [];
  readonly #path: string;

  constructor(elf: string, folder: string, name: string, memoryMib: number, extra: string[]) {
    this.#path = join(folder, `${name}.qmp`);
    const machine = ["-M", "virt", "-cpu", "rv64", "-m", `${memoryMib}M`, "-bios", "none"];
    const streams = ["-display", "none", "-serial", "stdio", "-monitor", "none"];
    const monitor = ["-qmp", `unix:${this.#path},server=on,wait=off`];
    const args = [...machine, ...streams, ...monitor, "-kernel", elf, ...extra];
    this.child = spawn(qemuPath(), args, { stdio: ["ignore", "pipe", "ignore"] });
    this.child.stdout?.on("data", (bytes: Buffer) => {
      const nowMs = performance.now();
      if (this.firstMs === 0) this.firstMs = nowMs;
      this.lastMs = nowMs;
      if (this.text.length < 64) this.text += bytes.toString("latin1");
    });
  }

  async open(): Promise<void> {
    for (let turn = 0; this.#socket === null; turn++) {
      await later(POLL_MS);
      this.#socket = await new Promise<Socket | null>((resolve) => {
        const socket = connect(this.#path);
        socket.once("connect", () => resolve(socket));
        socket.once("error", () => resolve(null));
      });
      if (turn > 500) throw new Error("QEMU does not open its monitor");
    }
    this.#socket.on("data", (part: Buffer) => {
      this.#buffer += part.toString();
      const lines = this.#buffer.split("\n");
      this.#buffer = lines.pop() ?? "";
      for (const line of lines) {
        const answer = JSON.parse(line) as Record<string, unknown>;
        if ("return" in answer || "error" in answer) this.#answers.shift()?.(answer);
      }
    });
    await this.ask("qmp_capabilities");
  }

  async ask(execute: string, args?: Record<string, unknown>): Promise<Record<string, unknown>> {
    const answer = await new Promise<Record<string, unknown>>((resolve) => {
      this.#answers.push(resolve);
      this.#socket?.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
    if ("error" in answer) throw new Error(`QEMU: ${execute}: ${JSON.stringify(answer["error"])}`);
    return answer["return"] as Record<string, unknown>;
  }

  end(): void {
    this.#socket?.destroy();
    this.child.kill("SIGKILL");
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Boots the ELF and moves it once it has said R; given up after `secondsMax`. */
export async function qemuMove(
  elf: string,
  memoryMib: number,
  limitMs: number,
  secondsMax: number,
): Promise<QemuMove> {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-qemu-"));
  const port = await freePort();
  const from = new Qemu(elf, folder, "from", memoryMib, []);
  const to = new Qemu(elf, folder, "to", memoryMib, ["-incoming", `tcp:127.0.0.1:${port}`]);
  try {
    await from.open();
    await to.open();
    while (!from.text.includes("R")) await later(POLL_MS);
    await later(200);
    const parameters = { "downtime-limit": limitMs, "max-bandwidth": 10e9 };
    await from.ask("migrate-set-parameters", parameters);
    const isBeating = from.text.includes(".");
    const beganMs = performance.now();
    await from.ask("migrate", { uri: `tcp:127.0.0.1:${port}` });
    let info: Record<string, unknown> = {};
    for (;;) {
      await later(POLL_MS);
      info = await from.ask("query-migrate");
      if (info["status"] === "completed") break;
      if (info["status"] === "failed" || performance.now() - beganMs > secondsMax * 1000) break;
    }
    const hasConverged = info["status"] === "completed";
    const endMs = performance.now();
    while (isBeating && hasConverged && to.firstMs === 0 && performance.now() - endMs < 20_000) {
      await later(POLL_MS);
    }
    const ram = (info["ram"] ?? {}) as Record<string, number>;
    const over = isBeating && hasConverged && to.firstMs > 0 ? to.firstMs - from.lastMs : null;
    return {
      hasConverged,
      totalMs: Number(info["total-time"] ?? endMs - beganMs),
      downtimeMs: Number(info["downtime"] ?? 0),
      bytes: ram["transferred"] ?? 0,
      gapMs: over,
    };
  } finally {
    from.end();
    to.end();
    rmSync(folder, { recursive: true, force: true });
  }
}
