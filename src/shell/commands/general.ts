/**
 * general: the commands of family `general`.
 *
 * Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";

/** The family, in the order of its help. */
export const generalCommands: readonly CommandSpec[] = [];
