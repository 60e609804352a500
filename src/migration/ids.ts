/**
 * ids: who a session is, and who a machine was on other hosts.
 *
 * Owns    which machine has which lineage: a secret of 16 bytes that goes where the machine goes.
 * Used by manager.ts, source.ts, target.ts.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Machine } from "../machine/machine.ts";
import type { Platform } from "../platform/contract.ts";

const BYTES = 16;
const lineages = new WeakMap<Machine, string>();

/** 32 hexadecimal digits that nobody can guess. */
export function drawId(platform: Platform): string {
  return bytesToHex(platform.entropy(BYTES));
}

/** What a machine is known by wherever it was; drawn when it moves for the first time. */
export function lineageOf(machine: Machine, platform: Platform): string {
  let lineage = lineages.get(machine);
  if (lineage === undefined) lineages.set(machine, (lineage = drawId(platform)));
  return lineage;
}

/** The machine came from elsewhere. */
export function setLineage(machine: Machine, lineage: string): void {
  lineages.set(machine, lineage);
}
