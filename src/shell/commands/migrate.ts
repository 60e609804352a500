/**
 * migrate: the family of commands for live migration.
 *
 * Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";
import { changeCommands } from "./migrate-change.ts";
import { lookCommands } from "./migrate-look.ts";
import { makeCommands } from "./migrate-make.ts";

/** The family, in the order of its help. */
export const migrateCommands: readonly CommandSpec[] = [
  ...makeCommands,
  ...lookCommands,
  ...changeCommands,
];
