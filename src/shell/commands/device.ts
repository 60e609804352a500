/**
 * device: the commands of family `device`: what a machine's guest finds on its bus.
 *
 * Used by src/shell/registry.ts.
 * Holds   looking changes nothing: no register is read the way the guest reads it.
 */
import { z } from "zod";
import {
  type Device,
  deviceTreeSource,
  type QueueFact,
  type RegisterFact,
  VmError,
} from "../../index.ts";
import { type CommandSpec, command, type ParameterSpec } from "../command.ts";
import { bytesText, pairs, table } from "../render.ts";
import type { Vm } from "../vm.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };
const hex = (value: number | bigint) => `0x${value.toString(16)}`;
const right = (name: string) => ({ name, align: "right" }) as const;

const Listed = z.object({
  name: z.string(),
  kind: z.string(),
  base: z.number().describe("guest physical address of its registers"),
  bytes: z.number(),
  irq: z.number().nullable().describe("its source at the PLIC"),
  stateVersion: z.number().nullable().describe("of its saved state; null: it is the core's"),
  stateBytes: z.number().nullable(),
});

/** It is served in the core, where harts can look at it without leaving their loop. */
const CLINT = {
  ...{ name: "clint0", kind: "clint", base: 0x200_0000, bytes: 0x1_0000 },
  ...{ irq: null, stateVersion: null, stateBytes: null },
};

function listedOf(device: Device): z.output<typeof Listed> {
  const { name, kind, base, bytes, irq } = device;
  const section = device.save();
  const [stateVersion, stateBytes] = [section.version, section.bytes.length];
  return { name, kind, base, bytes, irq: irq === 0 ? null : irq, stateVersion, stateBytes };
}

const list = command({
  family: "device",
  name: "list",
  summary: "list the devices of a machine by address",
  parameters: [VM],
  options: {},
  example: "device list web",
  result: z.array(Listed),
  async run(call) {
    const { devices } = call.vm().machine.devices.bus;
    return [...devices.map(listedOf), CLINT].sort((a, b) => a.base - b.base);
  },
  text(devices) {
    const columns = ["NAME", "KIND", "BASE", right("SIZE"), right("IRQ"), right("STATE")];
    return table(
      columns,
      devices.map(({ name, kind, base, bytes, irq, stateVersion, stateBytes }) => {
        const state = stateVersion === null ? "core" : `v${stateVersion}, ${stateBytes} bytes`;
        return [name, kind, hex(base), bytesText(bytes), irq === null ? "" : `${irq}`, state];
      }),
    );
  },
});

// ---- info ----

const Register = z.object({
  name: z.string(),
  offset: z.number(),
  bytes: z.number(),
  value: z.string().describe("0x..."),
});

const Queue = z.object({
  index: z.number(),
  isReady: z.boolean(),
  size: z.number(),
  descriptors: z.string().describe("guest physical address, as the next two"),
  available: z.string(),
  used: z.string(),
  servedIndex: z.number().describe("requests taken, modulo 65536"),
  usedIndex: z.number().describe("requests given back, modulo 65536"),
});

const Info = Listed.extend({
  registers: z.array(Register),
  queues: z.array(Queue),
  figures: z.record(z.string(), z.number()),
});

function deviceOf(vm: Vm, name: string): Device {
  const { devices } = vm.machine.devices.bus;
  const found = devices.find((device) => device.name === name);
  if (found !== undefined) return found;
  const isClint = name === CLINT.name;
  const why = isClint ? "the core keeps it, `debug csr` shows what it tells harts; accepted" : "";
  const names = devices.map((device) => device.name).join(", ");
  throw new VmError("not-found", `device "${name}": ${why === "" ? "there are" : why} ${names}`);
}

const registerOf = ({ name, offset, bytes, value }: RegisterFact) => {
  return { name, offset, bytes, value: `0x${value.toString(16).padStart(bytes * 2, "0")}` };
};

const queueOf = ({ descriptors, available, used, ...rest }: QueueFact, index: number) => {
  return {
    index,
    ...{ isReady: rest.isReady, size: rest.size },
    ...{ descriptors: hex(descriptors), available: hex(available), used: hex(used) },
    ...{ servedIndex: rest.servedIndex, usedIndex: rest.usedIndex },
  };
};

/** What a virtio status byte says (virtio 1.2, 2.1). */
const STATUS_BITS: readonly (readonly [number, string])[] = [
  [1, "ACKNOWLEDGE"],
  [2, "DRIVER"],
  [4, "DRIVER_OK"],
  [8, "FEATURES_OK"],
  [64, "NEEDS_RESET"],
  [128, "FAILED"],
];

function remarkOn({ kind }: { kind: string }, name: string, value: string): string {
  if (!kind.startsWith("virtio-") || name !== "Status") return "";
  const status = Number(value);
  return STATUS_BITS.filter(([bit]) => (status & bit) !== 0)
    .map(([, text]) => text)
    .join(" ");
}

function infoText(info: z.output<typeof Info>): string {
  const { name, kind, base, bytes, irq, stateVersion, stateBytes, figures } = info;
  const rows: (readonly [string, string])[] = [
    ["name", name],
    ["kind", kind],
    ["base", `${hex(base)}, ${bytesText(bytes)}`],
    ["irq", irq === null ? "none" : `${irq}`],
    ["state", `version ${stateVersion}, ${stateBytes} bytes`],
    ...Object.entries(figures).map(([figure, value]) => [figure, `${value}`] as const),
  ];
  const blocks = [`${pairs(rows, "")}\n`];
  const registers = info.registers.map(({ name: register, offset, value }) => {
    return [hex(offset), register, value, remarkOn(info, register, value)];
  });
  if (registers.length > 0) {
    blocks.push(table([right("OFFSET"), "REGISTER", right("VALUE"), ""], registers));
  }
  const queues = info.queues.map((queue) => [
    `${queue.index}`,
    ...[queue.isReady ? "yes" : "no", `${queue.size}`],
    ...[queue.descriptors, queue.available, queue.used],
    ...[`${queue.servedIndex}`, `${queue.usedIndex}`],
  ]);
  if (queues.length > 0) {
    const heads = [right("QUEUE"), "READY", right("SIZE"), "DESCRIPTORS", "AVAILABLE", "USED"];
    blocks.push(table([...heads, right("TAKEN"), right("GIVEN BACK")], queues));
  }
  return blocks.join("\n");
}

const info = command({
  family: "device",
  name: "info",
  summary: "show a device's registers, queues and figures as they are now",
  details: `
Registers are shown without reading them: nothing is claimed, acknowledged or taken from a FIFO. Of
the PLIC's priorities, enables and thresholds only those that are not 0 are shown.`,
  parameters: [VM, { name: "DEVICE", kind: "device", help: "name as in `device list`" }],
  options: {},
  example: "device info web uart0",
  result: Info,
  async run(call) {
    const device = deviceOf(call.vm(), call.text("DEVICE") as string);
    const { registers, queues = [], figures = {} } = device.inspect?.() ?? { registers: [] };
    return {
      ...listedOf(device),
      registers: registers.map(registerOf),
      queues: queues.map(queueOf),
      figures: { ...figures },
    };
  },
  text: infoText,
});

// ---- tree ----

const tree = command({
  family: "device",
  name: "tree",
  summary: "print the device tree that the guest is handed, as source text",
  details: `
The tree is that of the machine's boot; firmware may change its own copy. \`dtc -I dts -O dtb\`
makes the same tree of the text; --dtb writes it as the guest gets it.`,
  parameters: [VM],
  options: { dtb: { value: "FILE", kind: "file", help: "write the flattened tree there" } },
  example: "device tree web",
  result: z.object({
    source: z.string(),
    bytes: z.number().describe("of the flattened tree"),
    file: z.string().nullable(),
  }),
  async run(call) {
    const flat = call.vm().machine.deviceTree();
    const file = call.path("dtb") ?? null;
    if (file !== null) await call.world.writeFile(file, flat);
    return { source: deviceTreeSource(flat), bytes: flat.length, file };
  },
  text: ({ source, bytes, file }) => (file === null ? source : `${file}: ${bytesText(bytes)}\n`),
});

/** The family, in the order of its help. */
export const deviceCommands: readonly CommandSpec[] = [list, info, tree];
