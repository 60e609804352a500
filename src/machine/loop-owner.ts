/**
 * loop-owner: what a run loop needs of its machine.
 *
 * Owns    the type only. Used by run-loop.ts; machine.ts is one.
 */
import type { StopEntry } from "../core/debug-view.ts";
import type { MachineView } from "../core/machine-view.ts";
import type { MachineClock } from "./clock.ts";
import type { ConsoleEnd } from "./console.ts";
import type { DeviceSet } from "./devices.ts";
import type { Emitter } from "./events.ts";
import type { HostServices } from "./host.ts";
import type { MachineEvents } from "./machine-facts.ts";
import type { PageDesk } from "./pager.ts";
import type { DebugStop } from "./result.ts";
import type { Runner } from "./runner.ts";

/** What a loop needs of its machine. */
export interface LoopOwner {
  readonly name: string;
  readonly host: HostServices;
  readonly view: MachineView;
  readonly console: ConsoleEnd;
  readonly devices: DeviceSet;
  readonly clock: MachineClock;
  readonly pages: PageDesk;
  readonly events: Emitter<MachineEvents>;
  /** A reboot request ends the run instead. */
  readonly noReboot: boolean;
  /** Another machine could give frames back. */
  hasOthers(): boolean;
  /** Resets everything and loads again: what runs then, or null when that was cut short. */
  reload(): Promise<Runner | null>;
  /** The debugger hears of a stop. `isHolding`: the run stays under way. */
  stopped(entry: StopEntry): { stop: DebugStop; isHolding: boolean };
  /** A disposed machine's last slice is over: its frames can be given back. */
  giveBack(): void;
}
