/**
 * disk: the commands of family `disk`.
 *
 * Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";

/** The family, in the order of its help. */
export const diskCommands: readonly CommandSpec[] = [];
