/**
 * catalog: the snapshots of a store and those in memory, as one list: found by name, by id, by
 * where they stand.
 *
 * Used by manager.ts.
 */
import { VmError } from "../errors.ts";
import type { Snapshot } from "./contract.ts";
import type { Damage } from "./store-port.ts";

/** Shortest piece of an id that names a snapshot. */
const ID_PIECE = 6;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Oldest first; of one moment, parents first. */
export function inOrder(snapshots: readonly Snapshot[]): Snapshot[] {
  return [...snapshots].sort((a, b) => a.createdMs - b.createdMs || a.level - b.level);
}

/** How a snapshot is called where two machines have one of its name. */
export function fullName({ machine, name }: Snapshot): string {
  return `${machine}/${name}`;
}

function byName(all: readonly Snapshot[], text: string, machine: string | undefined): Snapshot[] {
  const slash = text.indexOf("/");
  if (slash >= 0) return all.filter((one) => fullName(one) === text);
  const found = all.filter(({ name }) => name === text);
  const own = found.filter((one) => one.machine === machine);
  return own.length > 0 ? own : found;
}

/**
 * The one that a text names: a name (of `machine`, where that has one), MACHINE/NAME, an id, or the
 * beginning of one. Throws "not-found", "bad-argument" for a name that two machines have,
 * "bad-file" for one of `damaged`.
 */
export function findSnapshot(
  all: readonly Snapshot[],
  text: string,
  machine?: string,
  damaged: readonly Damage[] = [],
): Snapshot {
  const named = byName(all, text, machine);
  const isPiece = text.length >= ID_PIECE;
  const found = named.length > 0 ? named : all.filter(({ id }) => isPiece && id.startsWith(text));
  if (found.length === 1) return found[0];
  if (found.length > 1) {
    const names = found.map(fullName).join(", ");
    throw new VmError("bad-argument", `snapshot "${text}": accepted is one of ${names}`);
  }
  const hurt = damaged.find(({ id, name }) => {
    return (isPiece && id?.startsWith(text)) || name === text.slice(text.indexOf("/") + 1);
  });
  if (hurt !== undefined) {
    throw new VmError("bad-file", `snapshot "${text}" cannot be used: ${hurt.why}`);
  }
  const shown = all.slice(-8).map(fullName).join(", ");
  const more = all.length > 8 ? ` and ${all.length - 8} more` : "";
  const accepted = all.length === 0 ? "there is none" : `there are ${shown}${more}`;
  throw new VmError("not-found", `snapshot "${text}": ${accepted}`);
}

/** From the first of a chain to the snapshot. */
export function chainOf(all: readonly Snapshot[], id: string): Snapshot[] {
  const byId = new Map(all.map((one) => [one.id, one]));
  const chain: Snapshot[] = [];
  for (let one = byId.get(id); one !== undefined; ) {
    chain.unshift(one);
    one = one.parent === null ? undefined : byId.get(one.parent);
    if (one !== undefined && chain.includes(one)) break; // the store refuses circles; so do we
  }
  return chain;
}

/**
 * Id of the full snapshot that one stands on, itself perhaps; null when it is not there. Asks for
 * those of its chain alone.
 */
export function baseOf(find: (id: string) => Snapshot | undefined, id: string): string | null {
  const seen = new Set<string>();
  for (let one = find(id); one !== undefined && !seen.has(one.id); ) {
    if (one.type === "full" || one.parent === null) return one.id;
    seen.add(one.id);
    one = find(one.parent);
  }
  return null;
}

/** Throws "bad-argument" for a name that is none, or that another one of the machine has. */
export function checkName(all: readonly Snapshot[], name: string, machine: string): void {
  if (!NAME.test(name)) {
    const accepted = "accepted are 1 to 64 letters, digits, dots, dashes and underscores";
    throw new VmError(
      "bad-argument",
      `snapshot name "${name}": ${accepted}, a letter or digit first`,
    );
  }
  if (all.some((one) => one.machine === machine && one.name === name)) {
    const accepted = "accepted is a name that none of its snapshots has";
    throw new VmError("bad-argument", `snapshot name "${name}": ${machine} has one; ${accepted}`);
  }
}

/** "snap-N" with the first N that is free. */
export function freeName(all: readonly Snapshot[], machine: string): string {
  const taken = new Set(all.filter((one) => one.machine === machine).map(({ name }) => name));
  for (let number = 1; ; number++) {
    if (!taken.has(`snap-${number}`)) return `snap-${number}`;
  }
}
