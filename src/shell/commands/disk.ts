/**
 * disk: the commands of family `disk`: disk images, and the disks of machines.
 *
 * Used by src/shell/registry.ts.
 * Holds   no command writes to a file that a machine of this process has open.
 */
import { z } from "zod";
import { VmError } from "../../index.ts";
import { diskOf } from "../call.ts";
import {
  type Call,
  type CommandSpec,
  checkSignal,
  command,
  type ParameterSpec,
  UsageError,
} from "../command.ts";
import { type DiskUse, disksOf, usesOf } from "../disk-use.ts";
import { progressOf } from "../progress.ts";
import { bytesText, pairs, table } from "../render.ts";
import type { Vm } from "../vm.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };
const FILE: ParameterSpec = { name: "FILE", kind: "file", help: "a raw disk image" };
const SECTOR_BYTES = 512;
const MODES = ["rw", "ro", "cow"] as const;
const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** A size of a disk. Throws UsageError. */
function sizeOf(call: Call, name: string): number {
  const text = call.text("SIZE") as string;
  const [, digits, unit = ""] = /^(\d+)([KMGT]?)$/i.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toUpperCase()] ?? 1);
  const isSize = Number.isSafeInteger(bytes) && bytes > 0 && bytes % SECTOR_BYTES === 0;
  if (isSize) return bytes;
  const accepted = `multiples of ${SECTOR_BYTES} bytes, also with K, M, G or T`;
  throw new UsageError(`disk ${name}: SIZE "${text}": accepted are ${accepted}`);
}

// ---- who uses what ----

async function checkUnused(path: string, call: Call): Promise<void> {
  const [use] = await usesOf(path, call.fleet.vms, call.world);
  if (use === undefined) return;
  const how = `\`disk detach ${use.vm.name} ${use.index}\` takes it away`;
  throw new VmError("busy", `disk ${path}: machine ${use.vm.name} has it open; ${how}`);
}

// ---- create, resize ----

const create = command({
  family: "disk",
  name: "create",
  summary: "make an empty disk image",
  details: `
The file is raw: sector n of the disk is at byte 512 n. It takes no room before it is written unless
--preallocate is given.`,
  parameters: [FILE, { name: "SIZE", kind: "text", help: "bytes, or a number with K, M, G or T" }],
  options: {
    preallocate: { help: "take the room now, so that the guest cannot run out of it later" },
    force: { help: "take the place of a file that is there" },
  },
  example: "disk create data.img 64M",
  result: z.object({ file: z.string(), bytes: z.number(), isPreallocated: z.boolean() }),
  async run(call) {
    const { world } = call;
    const file = call.path("FILE") as string;
    const bytes = sizeOf(call, "create");
    const isPreallocated = call.has("preallocate");
    const isReplacing = call.has("force");
    const isThere = await world.disks.facts(file).then(
      () => true,
      () => false,
    );
    if (isThere && isReplacing) await checkUnused(file, call);
    const progress = progressOf(call);
    try {
      await world.disks.create(file, bytes, {
        isPreallocated,
        isReplacing,
        signal: call.signal,
        onPercent: (percent) => progress.show(`writing ${call.text("FILE")}`, percent),
      });
    } catch (error) {
      checkSignal(call.signal);
      throw error;
    } finally {
      progress.end();
    }
    return { file, bytes, isPreallocated };
  },
  text: ({ file, bytes }) => `${file}: ${bytesText(bytes)}\n`,
});

const resize = command({
  family: "disk",
  name: "resize",
  summary: "make a disk image larger, or smaller",
  details: `
What is added is zero; what lies behind a smaller size is lost, which is why --shrink must be said.
Partitions and file systems on the disk are left as they are. A file that a machine of this shell
has open stays as it is.`,
  parameters: [FILE, { name: "SIZE", kind: "text", help: "bytes, or a number with K, M, G or T" }],
  options: { shrink: { help: "smaller is meant, and what lies behind may go" } },
  example: "disk resize root.img 64M",
  result: z.object({ file: z.string(), bytes: z.number(), bytesBefore: z.number() }),
  async run(call) {
    const { world } = call;
    const file = call.path("FILE") as string;
    const bytes = sizeOf(call, "resize");
    const { bytes: bytesBefore } = await world.disks.facts(file);
    await checkUnused(file, call);
    if (bytes < bytesBefore && !call.has("shrink")) {
      const loss = `${bytesText(bytesBefore - bytes)} would be lost`;
      throw new VmError(
        "bad-argument",
        `disk ${file} has ${bytesText(bytesBefore)}: ${loss}; --shrink does it`,
      );
    }
    if (bytes !== bytesBefore) await world.disks.resize(file, bytes);
    return { file, bytes, bytesBefore };
  },
  text: ({ file, bytes, bytesBefore }) =>
    `${file}: ${bytesText(bytesBefore)} -> ${bytesText(bytes)}\n`,
});

// ---- attach, detach ----

const NO_PLUG = "virtio-mmio disks are found at boot, so a machine that runs keeps those it has";

const Attachment = z.object({
  vm: z.string(),
  index: z.number(),
  path: z.string(),
  mode: z.enum(MODES),
});

const attach = command({
  family: "disk",
  name: "attach",
  summary: "give a machine that is not running another disk",
  details: `
FILE is read and written, FILE,ro is read only, FILE,cow is read while what the guest writes stays
in memory and goes with the machine. The disk comes behind those that are there. There is no hot
plug: virtio-mmio has none, so the machine must have been created only, or have ended.`,
  parameters: [VM, { name: "FILE", kind: "disk", help: "FILE, FILE,ro or FILE,cow" }],
  options: {},
  example: "disk attach web root.img,cow",
  result: Attachment,
  async run(call) {
    const vm = call.vm();
    const resolve = (path: string) => call.resolve(path);
    const disk = diskOf(call.text("FILE") as string, resolve, "FILE");
    vm.checkIdle(NO_PLUG);
    await vm.reconfigure(({ disks }) => ({ disks: [...disks, disk] }));
    return { vm: vm.name, index: vm.disks.findLastIndex(({ spec }) => spec === disk), ...disk };
  },
  text: ({ vm, index }) => `${vm}: disk ${index}, /dev/${linuxName(index)} under Linux\n`,
});

/** Linux numbers virtio disks by letters in the order of their slots: vda ... vdz, vdaa ... */
function linuxName(index: number): string {
  const letter = (value: number) => String.fromCharCode(97 + value);
  return `vd${index < 26 ? "" : letter(Math.floor(index / 26) - 1)}${letter(index % 26)}`;
}

/** The disk of the machine that FILE|INDEX names. Throws "not-found". */
function diskNamed(vm: Vm, text: string, call: Call): DiskUse {
  const uses = disksOf([vm]);
  const path = call.resolve(text);
  const isIndex = /^\d+$/.test(text);
  const found = uses.find(({ index, disk }) => {
    return isIndex ? index === Number(text) : disk.path === path;
  });
  if (found !== undefined) return found;
  const there = uses.map(({ index, disk }) => `${index} (${disk.path})`).join(", ");
  const accepted = there === "" ? "it has none" : `it has ${there}`;
  throw new VmError("not-found", `disk "${text}" of ${vm.name}: ${accepted}`);
}

const detach = command({
  family: "disk",
  name: "detach",
  summary: "take a disk from a machine that is not running",
  details: "The file stays. The disks behind it move up by one.",
  parameters: [VM, { name: "DISK", kind: "file", help: "its file, or its number from 0" }],
  options: {},
  example: "disk detach web root.img",
  result: Attachment,
  async run(call) {
    const vm = call.vm();
    const { index, disk } = diskNamed(vm, call.text("DISK") as string, call);
    const own = vm.disks.length - vm.spec.disks.length;
    if (index < own) {
      const what = `disk ${index} of ${vm.name} belongs to guest ${vm.spec.guest}`;
      throw new VmError("bad-argument", `${what}: accepted are disks that were attached`);
    }
    vm.checkIdle(NO_PLUG);
    await vm.reconfigure(({ disks }) => ({ disks: disks.filter((one) => one !== disk) }));
    return { vm: vm.name, index, ...disk };
  },
  text: () => "",
});

// ---- list, info ----

const Listed = Attachment.extend({
  device: z.string().describe("as `device list` names it"),
  linuxName: z.string(),
  bytes: z.number(),
});

function listed({ vm, index, disk }: DiskUse): z.output<typeof Listed> {
  return {
    vm: vm.name,
    index,
    path: disk.path,
    mode: disk.mode,
    device: `virtio${index}`,
    linuxName: linuxName(index),
    bytes: vm.machine.config.disks[index].bytes,
  };
}

const list = command({
  family: "disk",
  name: "list",
  summary: "list the disks of machines",
  parameters: [{ ...VM, isOptional: true }],
  options: {},
  example: "disk list web",
  isShellOnly: true,
  result: z.array(Listed),
  run: async (call) => disksOf(call.has("VM") ? [call.vm()] : call.fleet.vms).map(listed),
  text(disks) {
    if (disks.length === 0) return "no disks\n";
    const right = (name: string) => ({ name, align: "right" }) as const;
    const columns = ["VM", right("DISK"), "LINUX", "MODE", right("SIZE"), "FILE"];
    return table(
      columns,
      disks.map(({ vm, index, linuxName: name, mode, bytes, path }) => {
        return [vm, `${index}`, name, mode, bytesText(bytes), path];
      }),
    );
  },
});

const Figures = z.object({
  reads: z.number(),
  readBytes: z.number(),
  writes: z.number(),
  writtenBytes: z.number(),
  flushes: z.number(),
  errors: z.number().describe("requests that were answered with an error"),
});

const Info = z.object({
  path: z.string(),
  bytes: z.number(),
  allocatedBytes: z.number().describe("room that the file takes"),
  usedBy: z.array(Attachment),
  requests: Figures.nullable().describe("of the guest since the machine was made; VM:INDEX only"),
});

/** What the guest has asked of the disk. */
function figuresOf({ vm, index }: DiskUse): z.output<typeof Figures> {
  const device = vm.machine.devices.bus.devices.find(({ name }) => name === `virtio${index}`);
  return Figures.parse(device?.inspect?.().figures);
}

/** The disk of a machine that VM:INDEX names; null for a text that is a file's name. */
function machinesDisk(text: string, call: Call): DiskUse | null {
  const [, name, index] = /^([^/:]+):(\d+)$/.exec(text) ?? [];
  if (name === undefined) return null;
  const isVm = call.fleet.vms.some((vm) => vm.name === name);
  return isVm ? diskNamed(call.fleet.get(name), index, call) : null;
}

const info = command({
  family: "disk",
  name: "info",
  summary: "say all about a disk image, or about a disk of a machine",
  parameters: [{ name: "DISK", kind: "file", help: "a file, or VM:INDEX" }],
  options: {},
  example: "disk info root.img",
  result: Info,
  async run(call) {
    const { world } = call;
    const text = call.text("DISK") as string;
    const use = machinesDisk(text, call);
    const path = use?.disk.path ?? call.resolve(text);
    const { bytes, allocatedBytes } = await world.disks.facts(path);
    const usedBy = (await usesOf(path, call.fleet.vms, world)).map(({ vm, index, disk }) => {
      return { vm: vm.name, index, path: disk.path, mode: disk.mode };
    });
    return { path, bytes, allocatedBytes, usedBy, requests: use === null ? null : figuresOf(use) };
  },
  text({ path, bytes, allocatedBytes, usedBy, requests }) {
    const rows: (readonly [string, string])[] = [
      ["file", path],
      ["size", `${bytesText(bytes)} (${bytes} bytes)`],
      ["on disk", bytesText(allocatedBytes)],
    ];
    for (const { vm, index, mode } of usedBy) rows.push(["used by", `${vm}:${index} (${mode})`]);
    if (requests !== null) {
      const { reads, readBytes, writes, writtenBytes, flushes, errors } = requests;
      rows.push(["reads", `${reads}, ${bytesText(readBytes)}`]);
      rows.push(["writes", `${writes}, ${bytesText(writtenBytes)}`]);
      rows.push(["flushes", `${flushes}`], ["errors", `${errors}`]);
    }
    return `${pairs(rows, "")}\n`;
  },
});

/** The family, in the order of its help. */
export const diskCommands: readonly CommandSpec[] = [create, attach, detach, list, info, resize];
