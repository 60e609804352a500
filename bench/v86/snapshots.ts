/**
 * snapshots: has a v86 of machine.ts save and restore its whole state in memory.
 *
 * Used by suites/fork.ts and suites/snapshot.ts.
 * Holds   the times are those that the process measures around v86's own calls.
 */
import { fileURLToPath } from "node:url";
import type { Command, Console } from "../process.ts";
import type { V86Guest } from "./guest.ts";

const SECONDS_MAX = 120;
const MACHINE = fileURLToPath(new URL("machine.js", import.meta.url));

/** v86 on a guest, its serial line on the standard streams. */
export function v86Command({ kernel, initrd, bios, vgaBios }: V86Guest): Command {
  return [process.execPath, MACHINE, kernel, initrd, bios, vgaBios, "console=ttyS0"];
}

/** What one call took, and how large the state was. */
export interface StateTimes {
  readonly ms: number;
  readonly bytes: number;
}

async function ask(
  guest: Console,
  signal: "SIGUSR2" | "SIGHUP",
  what: string,
): Promise<StateTimes> {
  const before = guest.stderr.length;
  process.kill(guest.pid, signal);
  const pattern = new RegExp(`^v86 ${what} (\\{.*\\})$`, "m");
  for (const end = performance.now() + SECONDS_MAX * 1000; performance.now() < end; ) {
    const found = pattern.exec(guest.stderr.slice(before));
    if (found !== null) return JSON.parse(found[1]) as StateTimes;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`v86 did not ${what} within ${SECONDS_MAX} s: ${guest.stderr.slice(-300)}`);
}

/** `save_state`: the guest stands still meanwhile. */
export function saveState(guest: Console): Promise<StateTimes> {
  return ask(guest, "SIGUSR2", "saved");
}

/** `restore_state` of what was saved last. */
export function restoreState(guest: Console): Promise<StateTimes> {
  return ask(guest, "SIGHUP", "restored");
}
