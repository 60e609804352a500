/**
 * console: the commands of family `console`.
 *
 * Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";

/** The family, in the order of its help. */
export const consoleCommands: readonly CommandSpec[] = [];
