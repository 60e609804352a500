/**
 * adopt: makes a machine what another one was: the same machine earlier, a fresh one, a fork.
 *
 * Used by machine.ts for adopt and fork, host.ts for createFrom.
 * Holds   what is taken may come from anywhere: a section that is missing, unknown, newer or wrong
 *         is refused by name, and the machine is then as it was (its disks excepted: they are made
 *         ready first). Devices are taken with the interrupt controller last, the core behind it,
 *         so that every line is what it was; frozen in order of address, thawed in reverse.
 */
import { restoreBlocks, ticksOfBlocks } from "../core/blocks.ts";
import type { MaybePromise } from "../device/block/contract.ts";
import { type DiskCapture, MachineDisk, type SavedDisk } from "../device/block/disk.ts";
import { VmError } from "../errors.ts";
import {
  type CapturedParts,
  CORE_VERSION,
  MachineCapture,
  type MachineShapeFacts,
  type SavedMachine,
  type Section,
  saveSections,
  shapeOf,
  whileFrozen,
} from "./capture.ts";
import { TICKS_PER_MS } from "./clock.ts";
import type { ResolvedConfig } from "./config.ts";
import type { DeviceSet } from "./devices.ts";
import {
  type ConsoleFacts,
  DEVICE_PREFIX,
  type HtifFacts,
  type HubFacts,
  readConsole,
  readHtif,
  readHub,
} from "./sections.ts";

/** Who the machine is from then on, and how its time goes on. */
export interface AdoptOptions {
  /**
   * "new" (default): a copy; it gets a generation id of its own, which its guest is told of, and
   * random numbers of its own. "same": the very machine, for a replay; also takes over what was
   * typed and not taken.
   */
  readonly identity?: "same" | "new";
  /**
   * "resume" (default): machine time goes on from where it was. "jump": it catches up with what has
   * passed on the host since; for machines under the host's clock.
   */
  readonly clock?: "resume" | "jump";
  /** Of a new identity under the virtual clock: its random numbers come from it. Default: drawn. */
  readonly seed?: bigint;
}

/** The machine to be changed. */
export interface AdoptingParts extends CapturedParts {
  /** Of this host, now. */
  readonly wallMs: number;
  /** Random bytes from the host. */
  entropy(count: number): Uint8Array;
}

interface Read {
  readonly hub: HubFacts;
  readonly htif: HtifFacts;
  readonly console: ConsoleFacts;
  takeAgent(): void;
}

/** Sections by name, each asked for once. */
class Sections {
  readonly #left: Map<string, Section>;

  constructor(sections: readonly Section[]) {
    this.#left = new Map(sections.map((section) => [section.name, section]));
    if (this.#left.size === sections.length) return;
    throw new VmError("bad-section", "two sections have the same name");
  }

  take(name: string): Section {
    const section = this.#left.get(name);
    if (section === undefined) throw new VmError("bad-section", `section "${name}" is missing`);
    this.#left.delete(name);
    return section;
  }

  /** Nothing may be left: it would be forgotten silently. */
  end(): void {
    const [name] = this.#left.keys();
    if (name === undefined) return;
    throw new VmError("bad-section", `section "${name}" is of nothing that this machine has`);
  }
}

function listOf(facts: readonly unknown[]): string {
  return facts.map((fact) => Object.values(fact as object).join(" ")).join(", ") || "none";
}

/** Throws "bad-config" when a machine cannot become one of this shape. */
export function checkShape(shape: MachineShapeFacts, own: MachineShapeFacts, name: string): void {
  if (shape === own) return;
  const refuse = (what: string, given: unknown, here: unknown): never => {
    const text = `${name} cannot become a machine with ${what} ${String(given)}`;
    throw new VmError("bad-config", `${text}: it has ${String(here)}`);
  };
  const plain = ["ramBytes", "harts", "quantum", "mmu", "clock", "epochMs"] as const;
  for (const what of [...plain, "consoleDevice", "agent"] as const) {
    if (shape[what] !== own[what]) refuse(what, shape[what], own[what]);
  }
  for (const what of ["devices", "customDevices", "disks"] as const) {
    const [given, here] = [listOf(shape[what]), listOf(own[what])];
    if (given !== here) refuse(what, given, here);
  }
}

/** What is to be checked before anything changes. */
function readSections(parts: CapturedParts, sections: Sections): Omit<Read, "takeAgent"> {
  return {
    hub: readHub(sections.take("hub"), parts.devices.bus.devices.length),
    htif: readHtif(sections.take("htif")),
    console: readConsole(sections.take("console")),
  };
}

function coreOf(sections: Sections): Uint8Array {
  const { version, bytes } = sections.take("core");
  if (version === CORE_VERSION) return bytes;
  const text = `section of core has version ${version}, ${CORE_VERSION} is read`;
  throw new VmError("bad-section", text);
}

/** Devices and, but for a fork, the core's blocks. */
function restoreParts(parts: CapturedParts, all: readonly Section[], hasCore: boolean): Read {
  const sections = new Sections(all);
  const core = coreOf(sections);
  const read = readSections(parts, sections);
  const { devices, view } = parts;
  const takeAgent = devices.agent?.read(sections.take("agent")) ?? (() => {});
  const own = new Map(
    devices.restoreOrder.map((device) => [device, sections.take(DEVICE_PREFIX + device.name)]),
  );
  sections.end();
  for (const [device, { version, bytes }] of own) {
    device.restore({ name: device.name, version, bytes });
  }
  if (hasCore) restoreBlocks(view, core);
  devices.takeHub(read.hub);
  return { ...read, takeAgent };
}

/** A machine whose core is made already takes the rest of what `sections` hold. */
export function adoptSections(
  parts: AdoptingParts,
  sections: readonly Section[],
  options: AdoptOptions,
): HtifFacts {
  const { devices, view } = parts;
  checkClock(parts, options);
  const read = whileFrozen(devices.bus.devices, () => restoreParts(parts, sections, false));
  parts.clock.adopt(view, view.ticks, gapOf(parts, parts.wallMs, read.hub, options));
  finish(parts, read, options);
  return read.htif;
}

function finish(parts: AdoptingParts, read: Read, options: AdoptOptions): void {
  const isSame = options.identity === "same";
  parts.console.restore(read.console, isSame);
  read.takeAgent();
  if (!isSame) parts.devices.renewIdentity(options.seed ?? drawnSeed(parts));
}

function drawnSeed(parts: AdoptingParts): bigint {
  const bytes = parts.entropy(8);
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
}

/** Ticks that machine time is to catch up with. */
function gapOf(parts: AdoptingParts, wallMs: number, hub: HubFacts, options: AdoptOptions): number {
  if (options.clock !== "jump") return 0;
  return hub.behindTicks + Math.max(0, Math.floor((parts.wallMs - wallMs) * TICKS_PER_MS));
}

/** Throws "bad-argument" for a clock that this machine cannot have. */
function checkClock(parts: AdoptingParts, { clock = "resume" }: AdoptOptions): void {
  if (clock === "resume") return;
  if (clock !== "jump") {
    throw new VmError("bad-argument", `clock "${clock}": accepted are resume and jump`);
  }
  if (parts.clock.kind === "virtual") {
    const text = "clock jump: time of a machine with the virtual clock does not follow the host";
    throw new VmError("bad-argument", `${text}; accepted is resume`);
  }
}

/**
 * Makes the disks what `saved` says; at once when they can. Not undone when the rest fails: whoever
 * needs that captures them before.
 */
export function adoptDisks(parts: CapturedParts, saved: SavedMachine): MaybePromise<void> {
  const step = (from: number): MaybePromise<void> => {
    const { disks } = parts.devices;
    for (let slot = from; slot < disks.length; slot++) {
      const disk = disks[slot];
      const wanted = saved.disks?.[slot] ?? null;
      if (wanted === null || !(disk instanceof MachineDisk)) continue;
      const late = disk.patch(blocksFor(disk, wanted), (block, target) =>
        wanted.read(block, target),
      );
      if (late !== undefined) return late.then(() => step(slot + 1));
    }
  };
  return step(0);
}

/** A capture of the same disk knows what was written since. */
function blocksFor(disk: MachineDisk, wanted: SavedDisk): Uint32Array {
  const { mark } = wanted as Partial<DiskCapture>;
  return mark?.disk === disk ? disk.changedSince(mark) : wanted.blocks;
}

/** What a machine goes back to when it cannot become another one. */
function keepBefore(parts: CapturedParts): { undo: () => void; release: () => void } {
  const { sections } = saveSections(parts);
  const own = parts.view.retainRoot();
  const undo = () => {
    parts.view.revertTo(own);
    restoreParts(parts, sections, true);
  };
  return { undo, release: () => own.release() };
}

/** A capture of this host: devices of ours wrote its sections, its pages are remapped. */
function cannotFail({ view, config }: CapturedParts, saved: SavedMachine): boolean {
  return (
    saved instanceof MachineCapture &&
    !saved.isReleased &&
    saved.root.core === view.core &&
    config.devices.length === 0
  );
}

/** Makes a machine what `saved` is, its disks excepted. What it took of HTIF is the runner's. */
export function adoptMachine(
  parts: AdoptingParts,
  saved: SavedMachine,
  options: AdoptOptions,
): HtifFacts {
  const { devices, view } = parts;
  checkClock(parts, options);
  const before = cannotFail(parts, saved) ? null : keepBefore(parts);
  try {
    return whileFrozen(devices.bus.devices, () => {
      const read = restoreParts(parts, saved.sections, true);
      saved.fill(view);
      const core = saved.sections.find(({ name }) => name === "core") as Section;
      const gapTicks = gapOf(parts, saved.wallMs, read.hub, options);
      parts.clock.adopt(view, ticksOfBlocks(core.bytes), gapTicks);
      finish(parts, read, options);
      return read.htif;
    });
  } catch (error) {
    before?.undo();
    throw error;
  } finally {
    before?.release();
  }
}

/** Throws "bad-config" when the machine cannot become what `saved` is. */
export function checkAdoptable(
  config: ResolvedConfig,
  devices: DeviceSet,
  saved: SavedMachine,
): void {
  checkShape(saved.shape, shapeOf(config, devices), config.name);
}
