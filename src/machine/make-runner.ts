/**
 * make-runner: wires the parts of one machine for a run of one boot.
 *
 * Used by machine.ts, once for each boot.
 */
import type { MachineView } from "../core/machine-view.ts";
import type { BootPlan } from "./boot.ts";
import type { MachineClock } from "./clock.ts";
import type { ConsoleEnd } from "./console.ts";
import type { DeviceSet } from "./devices.ts";
import { Htif } from "./htif.ts";
import { type ExitCounts, Runner } from "./runner.ts";
import { Sbi } from "./sbi.ts";

/** What of a machine outlives its boots. */
export interface LastingParts {
  readonly view: MachineView;
  readonly devices: DeviceSet;
  readonly console: ConsoleEnd;
  readonly clock: MachineClock;
  readonly counts: ExitCounts;
}

/** The runner of what `plan` has loaded. */
export function makeRunner(lasting: LastingParts, plan: BootPlan): Runner {
  const { view, devices, console, clock, counts } = lasting;
  const { bus, hub, agent } = devices;
  const put = (bytes: Uint8Array) => {
    hub.charge(bytes.length);
    console.putAll(bytes);
  };
  const sbi = new Sbi(view, {
    putConsole: put,
    takeConsole: (most) => devices.takeConsole(most),
    charge: (work) => hub.charge(work),
    request: (what) => {
      hub.request ??= what;
    },
  });
  const htif = plan.htif === null ? null : new Htif(view, plan.htif, put);
  return new Runner({ view, bus, hub, sbi, htif, clock, console, agent }, counts);
}
