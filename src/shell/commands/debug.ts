/**
 * debug: the commands of family `debug`.
 *
 * Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";

/** The family, in the order of its help. */
export const debugCommands: readonly CommandSpec[] = [];
