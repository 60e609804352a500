/**
 * host: the commands of family `host`.
 *
 * Used by src/shell/registry.ts.
 */
import type { CommandSpec } from "../command.ts";

/** The family, in the order of its help. */
export const hostCommands: readonly CommandSpec[] = [];
