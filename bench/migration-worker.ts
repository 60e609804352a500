/**
 * migration-worker: the process that machines of the migration suite move to. Tells over IPC when
 * one begins to speak, and sends one back when it is told.
 *
 * Used by suites/migration.ts, which forks it.
 */
import { fileURLToPath } from "node:url";
import { Host, type Machine, MigrationManager, nodeLinks } from "../src/node.ts";

/** What it is told. */
export type WorkerOrder =
  | { readonly do: "clear" }
  /** Writes to `pages` pages of the machine's memory, then sends it back. */
  | { readonly do: "back"; readonly address: string; readonly pages: number };

/** What it says. */
export type WorkerNews =
  | { readonly is: "listening"; readonly address: string }
  /** First byte on a console, on the clock of all processes of this computer, ms. */
  | { readonly is: "spoke"; readonly name: string; readonly atMs: number }
  | { readonly is: "done" }
  | { readonly is: "back"; readonly sentBytes: number };

const DATA_PAGE = (0x8100_0000 - 0x8000_0000) / 4096;
const PAGE_BYTES = 4096;
const tell = (news: WorkerNews) => process.send?.(news);

/** Milliseconds on a clock that other processes have, too. */
export const sharedMs = () => performance.timeOrigin + performance.now();

async function main(): Promise<void> {
  const host = await Host.create({ machinesMax: 70 });
  /** Each with its run. */
  const machines = new Map<Machine, Promise<unknown>>();
  const manager = await MigrationManager.create({
    host,
    door: nodeLinks(),
    arrived: (machine) => {
      const stop = machine.console.onOutput(() => {
        stop();
        tell({ is: "spoke", name: machine.name, atMs: sharedMs() });
      });
      machines.set(
        machine,
        machine.run().catch(() => {}),
      );
    },
  });
  const { address } = await manager.listen("tcp://127.0.0.1:0");
  tell({ is: "listening", address });
  process.on("message", (order: WorkerOrder) => {
    if (order.do === "clear") {
      for (const machine of machines.keys()) machine.dispose();
      machines.clear();
      tell({ is: "done" });
    } else void back(order.address, order.pages);
  });
  process.on("disconnect", () => process.exit(0));

  async function back(to: string, pages: number): Promise<void> {
    const [[machine, run]] = machines;
    machine.stop();
    await run;
    const bytes = new Uint8Array(PAGE_BYTES);
    for (let page = 0; page < pages; page++) {
      crypto.getRandomValues(bytes);
      machine.view.memory.write(0x8000_0000 + (DATA_PAGE + page) * PAGE_BYTES, bytes);
    }
    void machine.run().catch(() => {});
    const session = await manager.start(machine, to, {});
    await session.ended;
    tell({ is: "back", sentBytes: session.progress.ram.transferred });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
