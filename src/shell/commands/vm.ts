/**
 * vm: the commands of family `vm`.
 *
 * Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";

/** The family, in the order of its help. */
export const vmCommands: readonly CommandSpec[] = [];
