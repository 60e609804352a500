/**
 * make-runner: wires the parts of one machine for a run of one boot.
 *
 * Used by starter.ts, once for each boot, and by adopt.ts.
 */
import type { MachineView } from "../core/machine-view.ts";
import type { MachineClock } from "./clock.ts";
import type { ConsoleEnd } from "./console.ts";
import type { DeviceSet } from "./devices.ts";
import { Htif, type HtifSymbols } from "./htif.ts";
import type { PageDesk } from "./pager.ts";
import { type ExitCounts, Runner } from "./runner.ts";
import { Sbi } from "./sbi.ts";

/** What of a machine outlives its boots. */
export interface LastingParts {
  readonly view: MachineView;
  readonly devices: DeviceSet;
  readonly console: ConsoleEnd;
  readonly clock: MachineClock;
  readonly pages: PageDesk;
  readonly counts: ExitCounts;
}

/** The runner of what was loaded; `symbols` of a program that speaks HTIF. */
export function makeRunner(lasting: LastingParts, symbols: HtifSymbols | null): Runner {
  const { view, devices, console, clock, counts, pages } = lasting;
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
  const htif = symbols === null ? null : new Htif(view, symbols, put);
  return new Runner({ view, bus, hub, sbi, htif, clock, console, agent, pages }, counts);
}
