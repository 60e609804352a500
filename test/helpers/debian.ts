/**
 * debian: the prepared Debian guest as a machine's configuration, and commands in it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { findGuest, type Machine, type MachineConfig, type PreparedGuest } from "../../src/node.ts";

const GUARD_MS = 240_000;

/** The guest; `config` goes over it. Only where need.ts has found it. */
export function debian(config: MachineConfig = {}): MachineConfig {
  const { folder, manifest } = findGuest("debian") as PreparedGuest;
  return {
    kernel: readFileSync(join(folder, manifest.kernel)),
    initrd: readFileSync(join(folder, manifest.initrd)),
    append: manifest.append,
    memoryBytes: "256M",
    agent: true,
    ...config,
  };
}

/** What a script prints in the guest, which must end with status 0. */
export async function say(machine: Machine, script: string): Promise<string> {
  const { status, stdout, stderr } = await machine.exec(script, { timeoutMs: GUARD_MS });
  const text = new TextDecoder();
  assert.is(status, 0, `${machine.name}: ${script}: ${text.decode(stderr)}`);
  return text.decode(stdout).trim();
}
