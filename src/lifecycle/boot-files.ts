/**
 * boot-files: what a machine was made of that its state does not hold: a copy can be reset, too.
 *
 * Used by frame-store.ts and memory-store.ts.
 */
import type { MachineConfig, ResolvedConfig } from "../machine/config.ts";

/** The part of a configuration that loads a machine. */
export function bootFiles(config: ResolvedConfig): MachineConfig {
  const { append, noReboot, htif } = config;
  return {
    ...{ append, noReboot, htif },
    kernel: config.kernel ?? undefined,
    initrd: config.initrd ?? undefined,
    firmware: config.firmware ?? undefined,
  };
}
