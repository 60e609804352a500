/**
 * capture: everything that a machine is between two instructions, in memory.
 *
 * Owns    a retained root and frozen disks, until `release`.
 * Used by machine.ts for capture and fork; the rooms above it, which write captures down.
 * Holds   nothing is copied but registers and device state: pages and blocks are, when the machine
 *         that runs on overwrites them. Every section is whole by itself, named and versioned.
 */
import { saveBlocks } from "../core/blocks.ts";
import type { MachineView } from "../core/machine-view.ts";
import type { RetainedRoot } from "../core/root.ts";
import type { BlockBackend } from "../device/block/contract.ts";
import {
  captureReadOnly,
  type DiskCapture,
  type DiskMark,
  MachineDisk,
  type SavedDisk,
} from "../device/block/disk.ts";
import type { Device, DeviceSection } from "../device/contract.ts";
import { VmError } from "../errors.ts";
import type { MachineClock } from "./clock.ts";
import type { ResolvedConfig } from "./config.ts";
import type { ConsoleEnd } from "./console.ts";
import type { DeviceSet } from "./devices.ts";
import { digestOfParts } from "./digest.ts";
import { fillFromRoot } from "./fill.ts";
import type { PageDesk, SharedPager } from "./pager.ts";
import type { Runner } from "./runner.ts";
import { DEVICE_PREFIX, type HubFacts, saveConsole, saveHtif, saveHub } from "./sections.ts";
import type { DiskUsers } from "./users.ts";

/** Of the section "core": see core/blocks.ts. */
export const CORE_VERSION = 1;

/** A named, versioned piece of a machine's state. */
export type Section = DeviceSection;

/** What a machine must be like to become another one. Plain data. */
export interface MachineShapeFacts {
  readonly ramBytes: number;
  readonly harts: number;
  readonly quantum: number;
  readonly mmu: ResolvedConfig["mmu"];
  readonly clock: ResolvedConfig["clock"];
  readonly epochMs: number;
  readonly consoleDevice: ResolvedConfig["consoleDevice"];
  readonly agent: boolean;
  /** By address. */
  readonly devices: readonly { readonly kind: string; readonly name: string }[];
  /** Those of kinds that an embedder registered, as config.devices has them. */
  readonly customDevices: readonly {
    readonly kind: string;
    readonly name: string;
    readonly base: number;
    readonly irq: number;
  }[];
  /** By slot. */
  readonly disks: readonly { readonly bytes: number; readonly isReadOnly: boolean }[];
}

/** A machine that was captured, in memory or read from somewhere: what `adopt` takes. */
export interface SavedMachine {
  readonly shape: MachineShapeFacts;
  readonly sections: readonly Section[];
  /** Wall time of the host at that moment, ms since 1970. */
  readonly wallMs: number;
  /** What the disks are to hold, by slot; null, or none: what they hold already. */
  readonly disks?: readonly (SavedDisk | null)[];
  /**
   * Where pages that are absent in it come from; null: none is. Not given: whoever adopts it sees
   * to that (`machine.setPager`).
   */
  readonly pager?: SharedPager | null;
  /** Makes RAM what it was. A page that is to come later is left absent (`view.pagesLeave`). */
  fill(view: MachineView): void;
}

/** What captureMachine needs of a machine. */
export interface CapturedParts {
  readonly config: ResolvedConfig;
  readonly view: MachineView;
  readonly devices: DeviceSet;
  readonly console: ConsoleEnd;
  /** Null before the first boot. */
  readonly runner: Runner | null;
  readonly clock: MachineClock;
  readonly pages: PageDesk;
}

/** What `machine.capture` may be told. */
export interface CaptureOptions {
  /**
   * Marks of an earlier capture, by slot: of those disks only what changed since is listed. Null:
   * the disks are left out.
   */
  readonly disks?: readonly (DiskMark | null)[] | null;
  /**
   * The machine stands still until `release`: its pages are lent and not retained, which takes no
   * frame. For `machine.suspend`.
   */
  readonly isStill?: boolean;
}

const shapes = new WeakMap<DeviceSet, MachineShapeFacts>();

/** What of a machine's configuration others must share: one object for each machine. */
export function shapeOf(config: ResolvedConfig, devices: DeviceSet): MachineShapeFacts {
  let shape = shapes.get(devices);
  if (shape === undefined) shapes.set(devices, (shape = makeShape(config, devices)));
  return shape;
}

function makeShape(config: ResolvedConfig, devices: DeviceSet): MachineShapeFacts {
  return {
    ramBytes: config.memoryBytes,
    harts: config.harts,
    quantum: config.quantum,
    mmu: config.mmu,
    clock: config.clock,
    epochMs: config.epochMs,
    consoleDevice: config.consoleDevice,
    agent: config.agent,
    devices: devices.bus.devices.map(({ kind, name }) => ({ kind, name })),
    customDevices: config.devices.map(({ kind, place: { name, base, irq } }) => {
      return { kind, name, base, irq };
    }),
    disks: config.disks.map(({ bytes, isReadOnly }) => ({ bytes, isReadOnly })),
  };
}

/** Does `work` with every device frozen, in order of address, and thaws them in reverse. */
export function whileFrozen<T>(devices: readonly Device[], work: () => T): T {
  const frozen: Device[] = [];
  try {
    for (const device of devices) {
      device.freeze?.();
      frozen.push(device);
    }
    return work();
  } finally {
    for (const device of frozen.reverse()) device.thaw?.();
  }
}

/** Every section of a machine, and what of them a digest needs. */
export interface SavedSections {
  readonly sections: readonly Section[];
  readonly hub: HubFacts;
}

/** Everything but pages and disks. */
export function saveSections(parts: CapturedParts): SavedSections {
  const { devices, console, runner, view } = parts;
  const all = devices.bus.devices;
  const hub = devices.hubFacts(parts.clock.behindTicks);
  const sections: Section[] = [
    { name: "core", version: CORE_VERSION, bytes: saveBlocks(view) },
    saveHub(hub),
    saveHtif({
      symbols: runner?.parts.htif?.symbols ?? null,
      isLeft: runner?.isHtifLeft ?? false,
    }),
    saveConsole(console.save()),
  ];
  if (devices.agent !== null) sections.push(devices.agent.save());
  for (const device of all) {
    const { name, version, bytes } = device.save();
    sections.push({ name: DEVICE_PREFIX + name, version, bytes });
  }
  return { sections, hub };
}

function captureDisks(
  disks: readonly (MachineDisk | BlockBackend)[],
  marks: CaptureOptions["disks"],
): DiskCapture[] {
  if (marks === null) return [];
  return disks.map((disk, slot) =>
    disk instanceof MachineDisk ? disk.capture(marks?.[slot] ?? null) : captureReadOnly(disk),
  );
}

/** Captures a machine that stands between two instructions. Throws "no-memory". */
export function captureMachine(
  parts: CapturedParts,
  wallMs: number,
  users: DiskUsers,
  options: CaptureOptions,
): MachineCapture {
  const { config, devices, view } = parts;
  const { sections, hub } = whileFrozen(devices.bus.devices, () => saveSections(parts));
  const root = options.isStill === true ? view.lendRoot() : view.retainRoot();
  return new MachineCapture({
    shape: shapeOf(config, devices),
    sections,
    root,
    disks: captureDisks(devices.disks, options.disks),
    instructions: view.retired,
    ticks: view.ticks,
    wallMs,
    hub,
    users,
    pager: parts.pages.lend(),
  });
}

interface CaptureFacts {
  readonly shape: MachineShapeFacts;
  readonly sections: readonly Section[];
  readonly root: RetainedRoot;
  readonly disks: readonly DiskCapture[];
  readonly instructions: number;
  readonly ticks: number;
  readonly wallMs: number;
  readonly hub: HubFacts;
  readonly users: DiskUsers;
  readonly pager: SharedPager | null;
}

/** A machine as it was at one moment; give it back with `release`. */
export class MachineCapture implements SavedMachine {
  readonly shape: MachineShapeFacts;
  readonly sections: readonly Section[];
  readonly root: RetainedRoot;
  /** By slot; none when the capture was told to leave them out. */
  readonly disks: readonly DiskCapture[];
  /** Retired until then. */
  readonly instructions: number;
  /** Machine time. */
  readonly ticks: number;
  readonly wallMs: number;
  /** Of the disks that it reads, for machines made from it. */
  readonly users: DiskUsers;
  /** Held until `release`, so that what was absent can be had. */
  readonly pager: SharedPager | null;
  readonly #hub: HubFacts;
  readonly #leaveDisks: () => void;
  #isLeft = false;

  /** For captureMachine. */
  constructor(facts: CaptureFacts) {
    this.shape = facts.shape;
    this.sections = facts.sections;
    this.root = facts.root;
    this.disks = facts.disks;
    this.instructions = facts.instructions;
    this.ticks = facts.ticks;
    this.wallMs = facts.wallMs;
    this.#hub = facts.hub;
    this.users = facts.users;
    this.pager = facts.pager;
    this.#leaveDisks = facts.users.take();
  }

  get isReleased(): boolean {
    return this.root.isReleased;
  }

  /**
   * What `machine.stateDigest()` was at that moment. Throws "disposed" after `release`, "not-found"
   * when a page is not in memory.
   */
  digest(): string {
    const core = this.sections.find(({ name }) => name === "core");
    if (core === undefined) throw new VmError("bad-section", 'section "core" is missing');
    const sections = this.sections.filter(({ name }) => name.startsWith(DEVICE_PREFIX));
    return digestOfParts({
      blocks: core.bytes,
      pages: this.root.digest(),
      entropyCounter: this.#hub.entropyCounter,
      devices: sections.map(({ name, version, bytes }, index) => ({
        section: { name: name.slice(DEVICE_PREFIX.length), version, bytes },
        alarm: this.#hub.entries[index].alarm,
      })),
    });
  }

  /** By remapping in a machine of the same host, else page by page. */
  fill(view: MachineView): void {
    fillFromRoot(view, this.root);
  }

  /** Gives back everything but the root, which is the caller's to release from then on. */
  leaveRoot(): RetainedRoot {
    if (!this.#isLeft) this.pager?.drop();
    this.#isLeft = true;
    for (const disk of this.disks) disk.release();
    this.#leaveDisks();
    return this.root;
  }

  /** Gives frames and blocks back. Once is enough; more does no harm. */
  release(): void {
    this.leaveRoot().release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
