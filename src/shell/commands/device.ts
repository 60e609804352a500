/**
 * device: the commands of family `device`.
 *
 * Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";

/** The family, in the order of its help. */
export const deviceCommands: readonly CommandSpec[] = [];
