/**
 * registry: the table of commands.
 *
 * Owns    the order of families in help, completion and docs/commands.md.
 * Used by session.ts, which runs them; complete.ts, docs.ts and the tests.
 */
import type { CommandSpec } from "./command.ts";
import { consoleCommands } from "./commands/console.ts";
import { debugCommands } from "./commands/debug.ts";
import { deviceCommands } from "./commands/device.ts";
import { diskCommands } from "./commands/disk.ts";
import { generalCommands } from "./commands/general.ts";
import { guestCommands } from "./commands/guest.ts";
import { hostCommands } from "./commands/host.ts";
import { memoryFamily } from "./commands/memory.ts";
import { migrateCommands } from "./commands/migrate.ts";
import { receiveCommand } from "./commands/receive.ts";
import { runAlone } from "./commands/run.ts";
import { RunShape } from "./commands/run-result.ts";
import { snapshotCommands } from "./commands/snapshot.ts";
import { vmCommands } from "./commands/vm.ts";
import { vmGuestCommands } from "./commands/vm-guest.ts";
import { vmLifeCommands } from "./commands/vm-life.ts";
import { vmWatchCommands } from "./commands/vm-watch.ts";

/** Every command there is. */
export const COMMANDS: readonly CommandSpec[] = [
  { ...runAlone, result: RunShape },
  receiveCommand,
  ...guestCommands,
  ...vmCommands,
  ...vmGuestCommands,
  ...vmLifeCommands,
  ...vmWatchCommands,
  ...consoleCommands,
  ...diskCommands,
  ...deviceCommands,
  ...snapshotCommands,
  ...migrateCommands,
  ...memoryFamily,
  ...debugCommands,
  ...hostCommands,
  ...generalCommands,
];
