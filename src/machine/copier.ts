/**
 * copier: captures, what is adopted, and forks of one machine.
 *
 * Owns    how many children there were: each draws other random numbers.
 * Used by machine.ts, which has checked that it may be done now.
 * Holds   a fork that fails leaves no child; what is adopted is whole or refused.
 */
import { MachineView } from "../core/machine-view.ts";
import type { MaybePromise } from "../device/block/contract.ts";
import { VmError } from "../errors.ts";
import {
  type AdoptingParts,
  type AdoptOptions,
  adoptDisks,
  adoptMachine,
  adoptSections,
  checkAdoptable,
} from "./adopt.ts";
import {
  type CaptureOptions,
  captureMachine,
  type MachineCapture,
  type SavedMachine,
  type SavedSections,
  saveSections,
  shapeOf,
  whileFrozen,
} from "./capture.ts";
import type { ResolvedConfig } from "./config.ts";
import { childSeed, type ForkOptions, forkDisks, ownDisks } from "./fork.ts";
import type { HostServices } from "./host.ts";
import type { Machine, MadeParts } from "./machine.ts";
import { type LastingParts, makeRunner } from "./make-runner.ts";
import type { MoveFacts } from "./mover.ts";
import type { RunLoop } from "./run-loop.ts";
import type { HtifFacts } from "./sections.ts";
import type { DiskUsers } from "./users.ts";

/** What a copier needs of its machine. */
export interface CopierOwner {
  readonly config: ResolvedConfig;
  readonly host: HostServices;
  readonly parts: LastingParts;
  readonly loop: RunLoop;
  readonly users: DiskUsers;
  /** Makes another machine. */
  make(config: ResolvedConfig, made: MadeParts): { machine: Machine; copier: Copier };
}

/** Copies one machine. */
export class Copier {
  readonly #owner: CopierOwner;
  #children = 0;
  /** Disks are made ready for what is adopted: they are neither what they were nor what will be. */
  #isAdopting = false;

  constructor(owner: CopierOwner) {
    this.#owner = owner;
  }

  get #captured(): AdoptingParts {
    const { config, host, parts, loop } = this.#owner;
    const { view, devices, console, clock, pages } = parts;
    const { runner } = loop;
    const { platform } = host;
    const wallMs = platform.wallMs();
    const entropy = (count: number) => platform.entropy(count);
    return { config, view, devices, console, clock, pages, runner, wallMs, entropy };
  }

  /** Brings the host's time in, so that what is captured is now. */
  #update(): void {
    const { clock, view } = this.#owner.parts;
    clock.update(view);
  }

  #checkWhole(what: string): void {
    if (!this.#isAdopting) return;
    const { name } = this.#owner.config;
    throw new VmError("busy", `${name} is just made another one: it ${what} when that is done`);
  }

  /** See Machine.capture. */
  capture(options: CaptureOptions): MachineCapture {
    this.#checkWhole("is captured");
    this.#update();
    const { host, users } = this.#owner;
    return captureMachine(this.#captured, host.platform.wallMs(), users, options);
  }

  /** What another host has to know before it takes the machine. */
  facts(): MoveFacts {
    const captured = this.#captured;
    const all = captured.devices.bus.devices;
    const { sections } = whileFrozen(all, () => saveSections(captured));
    const shape = shapeOf(this.#owner.config, captured.devices);
    return { shape, sections: sections.map(({ name, version }) => ({ name, version })) };
  }

  /** See Machine.adopt. `check`: may it be done now? */
  adopt(saved: SavedMachine, options: AdoptOptions, check: () => void): MaybePromise<void> {
    const { config, parts } = this.#owner;
    checkAdoptable(config, parts.devices, saved);
    const late = this.#readyDisks(saved);
    if (late === undefined) return this.#take(saved, options);
    this.#isAdopting = true;
    const work = late
      .finally(() => {
        this.#isAdopting = false;
      })
      .then(() => {
        check();
        this.#take(saved, options);
      });
    this.#owner.parts.devices.hub.hold(work);
    return work;
  }

  #readyDisks(saved: SavedMachine): MaybePromise<void> {
    if (saved.disks === undefined || saved.disks.every((disk) => disk === null)) return;
    const { hub } = this.#owner.parts.devices;
    if (!hub.isHeldByDevice) return adoptDisks(this.#captured, saved);
    return hub.devicesReleased().then(() => adoptDisks(this.#captured, saved));
  }

  #take(saved: SavedMachine, options: AdoptOptions): void {
    const htif = adoptMachine(this.#captured, saved, options);
    if (saved.pager !== undefined) this.#owner.parts.pages.install(saved.pager);
    this.#begin(htif, "restored");
    this.#owner.host.framesFreed();
  }

  #begin(htif: HtifFacts, reason: string): void {
    const runner = makeRunner(this.#owner.parts, htif.symbols);
    runner.isHtifLeft = htif.isLeft;
    this.#owner.loop.adopted(runner, reason);
  }

  /** See Machine.fork. */
  fork(count: number, options: ForkOptions): Machine[] {
    this.#checkWhole("is forked");
    this.#update();
    const captured = this.#captured;
    const all = captured.devices.bus.devices;
    const saved = whileFrozen(all, () => saveSections(captured));
    const children: Machine[] = [];
    try {
      while (children.length < count) {
        children.push(this.#child(saved, options, options.names?.[children.length]));
      }
    } catch (error) {
      for (const child of children) child.dispose();
      throw error;
    }
    return children;
  }

  #child(saved: SavedSections, options: ForkOptions, name: string | undefined): Machine {
    const { config, parts, users, loop } = this.#owner;
    const ordinal = ++this.#children;
    const identity = options.exact === true ? "same" : "new";
    const seed = identity === "same" ? config.seed : childSeed(saved.hub, ordinal);
    const disks = forkDisks(parts.devices.disks);
    const own = ownDisks(disks, config.disks);
    const of = { ...config, name: name ?? `${config.name}-${ordinal}`, seed, disks };
    let child: Machine | null = null;
    try {
      const view = MachineView.fork(parts.view);
      const made = this.#owner.make(of, { view, disks: own, users });
      child = made.machine;
      made.copier.#becomeChild(this, saved, { identity, clock: options.clock, seed });
      if (loop.state === "running") child.resume();
      return child;
    } catch (error) {
      if (child !== null) child.dispose();
      else for (const disk of own) void disk.close();
      throw error;
    }
  }

  /** Its pages are the parent's already. */
  #becomeChild(parent: Copier, saved: SavedSections, options: AdoptOptions): void {
    this.#owner.parts.pages.share(parent.#owner.parts.pages);
    this.#begin(adoptSections(this.#captured, saved.sections, options), "forked");
  }
}
