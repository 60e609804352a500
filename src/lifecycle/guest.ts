/**
 * guest: what is asked of the guest itself.
 *
 * Used by manager.ts.
 */
import { VmError } from "../errors.ts";
import type { WaitOptions } from "../machine/exec.ts";
import type { Machine } from "../machine/machine.ts";
import { isFinal } from "../machine/result.ts";
import type { Platform } from "../platform/contract.ts";

/** How long to wait for the guest; default 60 s. */
export type RebootOptions = WaitOptions;

/** systemd is asked; any other guest begins anew at once, with its disks written. */
const REBOOT = "if [ -d /run/systemd/system ]; then reboot; else sync; reboot -f; fi";
const TIMEOUT_MS = 60_000;

/**
 * Asks a Linux guest to reboot; settles when it has switched itself off for that. Throws as
 * `machine.exec` does, and "bad-state" when the machine ends instead.
 */
export async function askReboot(
  machine: Machine,
  platform: Platform,
  options: RebootOptions,
): Promise<void> {
  const { timeoutMs = TIMEOUT_MS, signal } = options;
  const undo: (() => void)[] = [];
  const came = new Promise<void>((resolve, reject) => {
    undo.push(
      machine.on("reboot", () => resolve()),
      machine.on("end", (result) => {
        const { kind } = result;
        // the machine was told not to reboot: this is how it ends
        if (kind === "reboot") resolve();
        else if (isFinal(result)) {
          reject(new VmError("bad-state", `${machine.name} ended (${kind}) and did not reboot`));
        }
      }),
      platform.after(timeoutMs, () => {
        const text = `${machine.name} did not reboot within ${timeoutMs} ms`;
        reject(new VmError("timeout", text));
      }),
    );
  });
  try {
    const asked = machine.exec(REBOOT, { timeoutMs, signal }).then(
      ({ status, stderr }) => {
        if (status === 0) return came;
        const says = `status ${status}; ${new TextDecoder().decode(stderr).trim()}`;
        throw new VmError("io", `${machine.name} does not reboot: ${says}`);
      },
      (error: unknown) => {
        // the agent is among what is being ended
        if (error instanceof VmError && error.code === "io") return came;
        throw error;
      },
    );
    await Promise.race([came, asked]);
  } finally {
    for (const end of undo) end();
  }
}
