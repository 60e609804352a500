/**
 * machine-tree: the device tree that a guest is handed: harts, memory, boot arguments, the devices'
 * nodes.
 *
 * Used by machine.ts at boot.
 * Holds   node names, compatible strings and addresses are QEMU virt's, so that what runs there
 *         finds its way here.
 */
import { RAM_BASE } from "../core/memory-view.ts";
import {
  cells64,
  type DeviceTreeCell,
  type DeviceTreeNode,
  type DeviceTreeValue,
  flattenDeviceTree,
  hartInterruptLabel,
  reference,
} from "../device/device-tree.ts";
import type { TreeFacts } from "./boot.ts";
import type { ResolvedConfig } from "./config.ts";
import { SeededRandom } from "./random.ts";

const TIMEBASE_HZ = 10_000_000;
const CBO_BLOCK_BYTES = 64;
const CLINT_BASE = 0x200_0000;
const CLINT_BYTES = 0x1_0000;
const RNG_SEED_BYTES = 32;
/** Interrupt numbers of a hart's local controller: machine software and timer. */
const MACHINE_SOFTWARE = 3;
const MACHINE_TIMER = 7;

/** Extensions of every hart, in the order of the ISA string. */
const EXTENSIONS = ["zicboz", "zicntr", "zicsr", "zifencei", "zba", "zbb", "zbs", "sstc", "svadu"];

/**
 * Extensions that the guest may rely on. Svadu stands for hardware A and D bits that are on
 * already, which is so when this host enters the supervisor itself; firmware may leave menvcfg's
 * ADUE and CBZE off.
 */
function extensionsOf(facts: TreeFacts): string[] {
  return EXTENSIONS.filter((name) => {
    if (name === "svadu") return facts.hasSbi;
    return name !== "zicboz" || !facts.hasFirmware;
  });
}

function hartNode(id: number, config: ResolvedConfig, facts: TreeFacts): DeviceTreeNode {
  const extensions = extensionsOf(facts);
  const properties: Record<string, DeviceTreeValue> = {
    device_type: "cpu",
    reg: id,
    status: "okay",
    compatible: "riscv",
    "riscv,isa-base": "rv64i",
    "riscv,isa-extensions": ["i", "m", "a", "f", "d", "c", ...extensions],
    "riscv,isa": `rv64imafdc_${extensions.join("_")}`,
    "mmu-type": `riscv,${config.mmu}`,
  };
  if (extensions.includes("zicboz")) properties["riscv,cboz-block-size"] = CBO_BLOCK_BYTES;
  const controller: DeviceTreeNode = {
    name: "interrupt-controller",
    label: hartInterruptLabel(id),
    properties: {
      "#interrupt-cells": 1,
      "interrupt-controller": true,
      compatible: "riscv,cpu-intc",
    },
  };
  return { name: `cpu@${id}`, label: `hart${id}`, properties, children: [controller] };
}

function hartsNode(config: ResolvedConfig, facts: TreeFacts): DeviceTreeNode {
  const ids = Array.from({ length: config.harts }, (_, id) => id);
  const cores = ids.map((id) => ({
    name: `core${id}`,
    properties: { cpu: reference(`hart${id}`) },
  }));
  const map = {
    name: "cpu-map",
    properties: {},
    children: [{ name: "cluster0", properties: {}, children: cores }],
  };
  return {
    name: "cpus",
    properties: { "#address-cells": 1, "#size-cells": 0, "timebase-frequency": TIMEBASE_HZ },
    children: [...ids.map((id) => hartNode(id, config, facts)), map],
  };
}

/** The CLINT lives in the core, so that no device object brings its node. */
function clintNode(harts: number): DeviceTreeNode {
  const interrupts: DeviceTreeCell[] = [];
  for (let id = 0; id < harts; id++) {
    const label = reference(hartInterruptLabel(id));
    interrupts.push(label, MACHINE_SOFTWARE, label, MACHINE_TIMER);
  }
  return {
    name: `clint@${CLINT_BASE.toString(16)}`,
    properties: {
      compatible: ["sifive,clint0", "riscv,clint0"],
      reg: cells64(CLINT_BASE, CLINT_BYTES),
      "interrupts-extended": interrupts,
    },
  };
}

function chosenNode(config: ResolvedConfig, facts: TreeFacts): DeviceTreeNode {
  const properties: Record<string, DeviceTreeValue> = {};
  if (config.append !== "") properties["bootargs"] = config.append;
  properties["stdout-path"] = "/soc/serial@10000000";
  properties["rng-seed"] = new SeededRandom(config.seed, "rng-seed").bytes(RNG_SEED_BYTES);
  if (config.initrd !== null) {
    properties["linux,initrd-start"] = BigInt(facts.initrdStart);
    properties["linux,initrd-end"] = BigInt(facts.initrdEnd);
  }
  return { name: "chosen", properties };
}

/** The whole tree as nodes. `devices` are the nodes for /soc. */
export function machineTree(
  config: ResolvedConfig,
  devices: readonly DeviceTreeNode[],
  facts: TreeFacts,
): DeviceTreeNode {
  const memory: DeviceTreeNode = {
    name: `memory@${RAM_BASE.toString(16)}`,
    properties: { device_type: "memory", reg: cells64(RAM_BASE, config.memoryBytes) },
  };
  const soc: DeviceTreeNode = {
    name: "soc",
    properties: {
      "#address-cells": 2,
      "#size-cells": 2,
      compatible: "simple-bus",
      ranges: true,
    },
    children: [clintNode(config.harts), ...devices],
  };
  return {
    name: "",
    properties: {
      "#address-cells": 2,
      "#size-cells": 2,
      compatible: "riscv-virtio",
      model: "riscv-virtio,rivulet",
    },
    children: [chosenNode(config, facts), memory, hartsNode(config, facts), soc],
  };
}

/** The tree as the bytes a guest reads. */
export function buildTree(
  config: ResolvedConfig,
  devices: readonly DeviceTreeNode[],
  facts: TreeFacts,
): Uint8Array {
  return flattenDeviceTree(machineTree(config, devices, facts), { bootHart: 0 });
}
