/**
 * campaign: hostile program after hostile program beside a neighbour, guided by what they reach:
 * programs that reach something new are kept and mixed.
 *
 * Used by campaign.test.ts (short) and campaign.deep.ts (long, resumable).
 * Holds   everything follows from the seed and the tally, so that a campaign goes on where another
 *         process stopped.
 */
import { HART_MCAUSE, HART_SCAUSE } from "../../assembly/layout.ts";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { WORK_MAX } from "../../src/machine/hub.ts";
import { Host, type Machine, type MachineConfig, nodePlatform } from "../../src/node.ts";
import { Random } from "../helpers/random.ts";
import { DISK_KINDS, DISKS, type DiskKind } from "./disks.ts";
import { drawGene, GENES, type Gene, writeProgram } from "./genes.ts";
import { neighbourProgram } from "./neighbour.ts";
import { PIECE_WORK_MAX } from "./yard.ts";

const NEIGHBOUR_PIECE = 20_000;
const BATCH = 25;
const CORPUS_MAX = 400;
const GENES_MAX = 40;

/** A program with the machine that it runs on. */
export interface Specimen {
  readonly mode: "m" | "s";
  readonly harts: number;
  readonly quantum: number;
  readonly instructions: number;
  readonly disk: DiskKind;
  readonly genes: readonly Gene[];
}

/** What a campaign has come to; a file holds it. */
export interface Tally {
  readonly seed: number;
  programs: number;
  instructions: number;
  /** Programs by how their machine ended, and genes run by kind. */
  readonly endings: Record<string, number>;
  readonly genes: Record<string, number>;
  /** What was reached, and the programs that reached it first. */
  readonly features: string[];
  corpus: Specimen[];
  /** What went wrong, with the program. */
  readonly failures: { readonly what: string; readonly specimen: Specimen }[];
}

/** A campaign that has not begun. */
export function freshTally(seed: number): Tally {
  return {
    ...{ seed, programs: 0, instructions: 0, endings: {}, genes: {} },
    ...{ features: [], corpus: [], failures: [] },
  };
}

function drawSpecimen(random: Random): Specimen {
  return {
    mode: random.chance(65) ? "m" : "s",
    harts: random.pick([1, 1, 2, 3, 4, 8]),
    quantum: random.pick([32, 100, 1000, 10_000]),
    instructions: random.pick([5_000, 30_000, 100_000]),
    disk: random.pick(DISK_KINDS),
    genes: Array.from({ length: random.between(3, 20) }, () => drawGene(random)),
  };
}

/** A kept program with some of its genes changed, cut, doubled or taken from another one. */
function mutate(random: Random, corpus: readonly Specimen[]): Specimen {
  const parent = random.pick(corpus);
  const genes = [...parent.genes];
  for (let count = random.between(1, 4); count > 0; count--) {
    const at = random.below(genes.length + 1);
    const how = random.below(4);
    if (how === 0) genes.splice(at, 1);
    else if (how === 1) genes.splice(at, 0, drawGene(random));
    else if (how === 2) genes.splice(at, 1, drawGene(random));
    else {
      const other = random.pick(corpus).genes;
      const from = random.below(other.length);
      genes.splice(at, 0, ...other.slice(from, from + random.between(1, 6)));
    }
  }
  const shape = random.chance(20) ? drawSpecimen(random) : parent;
  const kept = genes.length > 0 ? genes.slice(0, GENES_MAX) : [drawGene(random)];
  return { ...shape, mode: parent.mode, genes: kept };
}

/** Notes every device register that is touched, with what status and result. */
function spy(machine: Machine, features: Set<string>): void {
  for (const device of machine.devices.bus.devices) {
    const [read, write] = [device.read.bind(device), device.write.bind(device)];
    const where = (offset: number) => (device.bytes > 0x10000 ? offset >> 7 : offset >> 2);
    device.read = (offset, size) => {
      const value = read(offset, size);
      features.add(`${device.name} r${size} ${where(offset)}`);
      if (device.kind.startsWith("virtio") && offset === 0x70)
        features.add(`${device.name} =${value}`);
      return value;
    };
    device.write = (offset, size, value) => {
      features.add(`${device.name} w${size} ${where(offset)}`);
      write(offset, size, value);
      if (!device.kind.startsWith("virtio")) return;
      features.add(`${device.name} after ${offset.toString(16)}: ${read(0x70, 4) & 0x4f}`);
    };
  }
}

const magnitude = (value: number) => Math.ceil(Math.log2(value + 1));

function configOf({ mode, harts, quantum, disk, genes }: Specimen): MachineConfig {
  const slots = 3;
  return {
    ...{ name: "hostile", memoryBytes: "8M", harts, quantum, seed: 3, consoleDevice: "virtio" },
    kernel: writeProgram(genes, mode, slots),
    disks: [DISKS[disk]()],
    htif: mode === "m",
  };
}

/** Runs programs beside a neighbour, batch by batch. */
export class Campaign {
  readonly tally: Tally;
  readonly #features: Set<string>;
  #alone: string | null = null;

  constructor(tally: Tally) {
    this.tally = tally;
    this.#features = new Set(tally.features);
  }

  /** The next batch. */
  async step(): Promise<void> {
    const { tally } = this;
    const random = new Random((tally.seed + Math.imul(tally.programs, 0x9e3779b1)) >>> 0);
    const specimens = Array.from({ length: BATCH }, () =>
      tally.corpus.length > 20 && random.chance(60)
        ? mutate(random, tally.corpus)
        : drawSpecimen(random),
    );
    this.#alone ??= await this.#batch([], random);
    const digest = await this.#batch(specimens, random);
    if (digest !== this.#alone) this.#fail("the neighbour's digest changed", specimens[0]);
    tally.programs += BATCH;
  }

  #fail(what: string, specimen: Specimen): void {
    this.tally.failures.push({ what, specimen });
  }

  /** Runs each specimen beside a piece of the neighbour; the neighbour's digest at the end. */
  async #batch(specimens: readonly Specimen[], random: Random): Promise<string> {
    const host = await Host.create({
      ...{ platform: nodePlatform(), arenaBytes: 64 << 20, machinesMax: 4 },
    });
    const neighbour = host.createMachine({
      ...{ kernel: neighbourProgram(), memoryBytes: "2M", harts: 2, seed: 5, reserve: true },
      disks: [new MemoryBackend(new Uint8Array(1 << 16).fill(7))],
    });
    await neighbour.boot();
    const { framesFree } = host.stats();
    for (let piece = 0; piece < BATCH; piece++) {
      const beside = neighbour.run(NEIGHBOUR_PIECE);
      const specimen = specimens[piece];
      if (specimen !== undefined) {
        const digest = await this.#run(host, specimen, null);
        if (piece % 5 === 0) {
          const other = await this.#run(host, specimen, random.fork());
          if (other !== digest) this.#fail("split runs differ", specimen);
        }
      }
      await beside;
      if (host.stats().framesFree !== framesFree) this.#fail("frames are lost", specimens[piece]);
    }
    const digest = neighbour.stateDigest();
    host.dispose();
    return digest;
  }

  /** Runs one, in one piece or in random ones; its digest. */
  async #run(host: Host, specimen: Specimen, cut: Random | null): Promise<string> {
    const machine = host.createMachine(configOf(specimen));
    const seen = new Set<string>();
    if (cut === null) spy(machine, seen);
    let printed = 0;
    machine.console.onOutput((bytes) => (printed += bytes.length));
    let digest = "";
    try {
      await machine.boot();
      let ending = "budget";
      for (let done = 0; ending === "budget" && done < specimen.instructions; ) {
        const left = specimen.instructions - done;
        const piece = cut === null ? left : Math.min(left, cut.between(1, left));
        ending = (await machine.run(piece)).kind;
        done += piece;
        const { work } = machine.devices.hub;
        if (work > WORK_MAX + PIECE_WORK_MAX) this.#fail(`${work} of work in a slice`, specimen);
      }
      digest = machine.stateDigest();
      if (cut === null) this.#note(machine, specimen, ending, seen, printed);
    } catch (error) {
      this.#fail(String(error), specimen);
    } finally {
      machine.dispose();
    }
    return digest;
  }

  #note(
    machine: Machine,
    specimen: Specimen,
    ending: string,
    seen: Set<string>,
    printed: number,
  ): void {
    const { tally } = this;
    const stats = machine.stats();
    tally.instructions += stats.instructions;
    const how = stats.reboots > 0 ? `${ending} after reboots` : ending;
    tally.endings[how] = (tally.endings[how] ?? 0) + 1;
    for (const [kind] of specimen.genes) {
      const [name] = GENES[kind];
      tally.genes[name] = (tally.genes[name] ?? 0) + 1;
    }
    seen.add(`end ${how} ${specimen.mode} ${specimen.harts}`);
    for (const group of [stats.core, stats.exits]) {
      for (const [name, value] of Object.entries(group)) seen.add(`${name} ${magnitude(value)}`);
    }
    seen.add(`printed ${magnitude(printed)}`);
    if (stats.exits.alarm > 0) seen.add(`disk ${specimen.disk} ${magnitude(stats.exits.alarm)}`);
    for (const hart of machine.view.harts) {
      seen.add(`cause ${hart.get64(specimen.mode === "m" ? HART_MCAUSE : HART_SCAUSE)}`);
    }
    let isNew = false;
    for (const feature of seen) {
      if (this.#features.has(feature)) continue;
      this.#features.add(feature);
      tally.features.push(feature);
      isNew = true;
    }
    if (isNew) tally.corpus = [...tally.corpus, specimen].slice(-CORPUS_MAX);
  }

  /** The tally as a table for people. */
  report(): string {
    const { programs, instructions, features, corpus, failures } = this.tally;
    const line = (counts: Record<string, number>) =>
      Object.entries(counts)
        .sort(([, a], [, b]) => b - a)
        .map(([name, count]) => `${name} ${count}`)
        .join(", ");
    return [
      `${programs} programs, ${instructions} instructions, ${features.length} features, ` +
        `${corpus.length} kept, ${failures.length} failures`,
      `ended: ${line(this.tally.endings)}`,
      `genes: ${line(this.tally.genes)}`,
      ...failures.slice(0, 3).map((failure) => JSON.stringify(failure)),
    ].join("\n");
  }
}
