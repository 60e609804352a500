/**
 * snapshot: the commands of family `snapshot`.
 *
 * Owns    their order in help. Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";
import { keepCommands } from "./snapshot-keep.ts";
import { lookCommands } from "./snapshot-look.ts";
import { makeCommands } from "./snapshot-make.ts";

const [mountStore, ...others] = keepCommands;

/** The family, in the order of its help. */
export const snapshotCommands: readonly CommandSpec[] = [
  mountStore,
  ...makeCommands,
  ...lookCommands,
  ...others,
];
