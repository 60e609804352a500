/**
 * move-worker: the tab's end of a machine that moves: it waits for machines, runs what arrives, and
 * sends it away when the page says so.
 *
 * Used by move.ts.
 */
import {
  browserLinks,
  Host,
  type Machine,
  MigrationManager,
  type MigrationProgress,
  type MigrationResult,
  openStoreDatabase,
} from "rivulet/browser";

/** What the page says. */
export type ToWorker =
  /** First: where Node listens, and by which name it dials this tab. */
  | { readonly kind: "begin"; readonly address: string; readonly name: string }
  | { readonly kind: "input"; readonly text: string }
  | { readonly kind: "send" };

/** How a move went. */
export interface Move {
  readonly result: MigrationResult;
  readonly progress: MigrationProgress;
}

/** What the worker says. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "arrived" }
  | { readonly kind: "output"; readonly bytes: Uint8Array }
  | { readonly kind: "sent"; readonly move: Move }
  | { readonly kind: "failed"; readonly reason: string };

// Inside a worker the global scope is what a Worker is outside.
const page = globalThis as unknown as Worker;
const say = (message: FromWorker) => page.postMessage(message);
const fail = (error: unknown) =>
  say({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });

let manager: MigrationManager | null = null;
let machine: Machine | null = null;
let home = "";

function adopt(arrived: Machine): void {
  machine?.dispose(); // it went away
  machine = arrived;
  say({ kind: "arrived" });
  arrived.console.onOutput((bytes) => say({ kind: "output", bytes: bytes.slice() }));
  arrived.run().catch(fail);
}

async function begin(address: string, name: string): Promise<void> {
  home = address;
  manager = await MigrationManager.create({
    host: await Host.create({ arenaBytes: 1 << 30 }),
    door: browserLinks(),
    // a name of its own: two tabs may be open
    state: await openStoreDatabase(`rivulet-move-${name}`),
    arrive: () => ({ consoleInput: "open" }),
    arrived: adopt,
  });
  await manager.listen(`${address}await/${name}`);
  say({ kind: "ready" });
}

async function send(): Promise<void> {
  if (manager === null || machine === null) return;
  const session = await manager.start(machine, home);
  const result = await session.ended;
  say({ kind: "sent", move: { result, progress: session.progress } });
}

page.addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "begin") begin(data.address, data.name).catch(fail);
  else if (data.kind === "send") send().catch(fail);
  else machine?.console.write(data.text);
});
