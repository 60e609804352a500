#!/usr/bin/env node
/**
 * cli: the binary `rivulet`: picks the command, turns errors into one line and an exit status.
 *
 * Holds   0 is success, 1 a failure, 2 a wrong command line; `run` exits as the guest asked.
 */
import { VmError } from "./errors.ts";
import { nodeWorld } from "./platform/node/world.ts";
import { main } from "./shell/main.ts";
import { UsageError } from "./shell/usage.ts";

try {
  process.exitCode = await main(process.argv.slice(2), nodeWorld());
} catch (error) {
  const isKnown = error instanceof VmError || error instanceof UsageError;
  const text = isKnown ? error.message : ((error as Error)?.stack ?? String(error));
  process.stderr.write(`rivulet: ${text}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
