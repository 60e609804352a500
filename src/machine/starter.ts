/**
 * starter: brings a machine to where it can run: power-on state, files in memory, harts on their
 * way.
 *
 * Owns    the boot plan, made when first needed.
 * Used by machine.ts, at boot; run-loop.ts, at every reboot.
 */
import { VmError } from "../errors.ts";
import { type BootPlan, enterBoot, planBoot } from "./boot.ts";
import type { ResolvedConfig } from "./config.ts";
import { type LoaderHost, loadPlan, reserveMemory } from "./loader.ts";
import { buildTree } from "./machine-tree.ts";
import { type LastingParts, makeRunner } from "./make-runner.ts";
import type { Runner } from "./runner.ts";

/** What a starter needs of its machine. */
export interface StarterOwner {
  readonly config: ResolvedConfig;
  readonly parts: LastingParts;
  readonly loader: LoaderHost;
  /** Frames were given back. */
  framesFreed(): void;
}

/** Starts one machine, again and again. */
export class Starter {
  readonly #owner: StarterOwner;
  #plan: BootPlan | null = null;

  constructor(owner: StarterOwner) {
    this.#owner = owner;
  }

  /** What lies where. Throws "bad-config" or "bad-file". */
  get plan(): BootPlan {
    const { config, parts } = this.#owner;
    this.#plan ??= planBoot(config, (facts) => buildTree(config, parts.devices.nodes(), facts));
    return this.#plan;
  }

  /** Devices, RAM and harts back to power-on state. Throws "no-memory". */
  reset(): void {
    const { devices, view } = this.#owner.parts;
    devices.reset();
    if (!view.reset()) {
      throw new VmError("no-memory", `${this.#owner.config.name}: no frame is free`);
    }
    this.#owner.framesFreed();
  }

  /** Loads into a machine in power-on state; null when that was cut short. */
  async load(): Promise<Runner | null> {
    const { config, parts, loader } = this.#owner;
    const { plan } = this;
    const { memory } = parts.view;
    parts.console.forgetTail(); // what another guest said
    if (config.reserve && !(await reserveMemory(memory, loader))) return null;
    if (!(await loadPlan(memory, plan, loader))) return null;
    enterBoot(parts.view, plan);
    return makeRunner(parts, plan.htif);
  }

  /** As a reboot does it. */
  async reload(): Promise<Runner | null> {
    this.reset();
    return this.load();
  }
}
