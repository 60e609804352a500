/**
 * debug: the commands of family `debug` that look at harts: registers, CSRs, translation, TLBs,
 * symbols, digest.
 *
 * Owns    the order of the family. Used by src/shell/registry.ts.
 * Holds   looking changes nothing; a machine that runs is looked at between two of its
 *         instructions.
 */
import { z } from "zod";
import {
  type AccessKind,
  CSR,
  csrName,
  FLOAT_REGISTER_NAMES,
  parseSymbols,
  REGISTER_NAMES,
  translationText,
  VmError,
} from "../../index.ts";
import { type Call, type CommandSpec, command, UsageError } from "../command.ts";
import { pairs, table } from "../render.ts";
import { memoryCommands } from "./debug-memory.ts";
import { runningCommands } from "./debug-run.ts";
import { addressText, HART, Hex, hex, hex64, symbolAt, VM } from "./debug-text.ts";

const hartOf = (call: Call) => call.number("hart") ?? 0;

const Values = z.record(z.string(), Hex);

const registers = command({
  family: "debug",
  name: "registers",
  summary: "show the registers of a hart",
  parameters: [VM],
  options: { hart: HART, all: { help: "floating-point registers and CSRs, too" } },
  example: "debug registers web --hart 0",
  result: z.object({
    hart: z.number(),
    privilege: z.enum(["U", "S", "M"]),
    state: z.enum(["runs", "waits", "stopped"]).describe("waits: in WFI; stopped: not started"),
    pc: Hex,
    symbol: z.string().nullable(),
    integer: Values,
    float: Values.optional().describe("their 64 bits"),
    csr: Values.optional(),
  }),
  async run(call) {
    const vm = call.vm();
    const { debugger: dbg } = vm.machine;
    const hart = hartOf(call);
    const { pc, x, f, privilege, isWaiting, isStopped } = dbg.registers(hart);
    const named = (names: readonly string[], values: readonly bigint[]) =>
      Object.fromEntries(names.map((name, index) => [name, hex(values[index])]));
    const isAll = call.has("all");
    return {
      hart,
      privilege,
      state: stateOf(isStopped, isWaiting),
      pc: hex(pc),
      symbol: symbolAt(vm, pc),
      integer: named(REGISTER_NAMES, x),
      float: isAll ? named(FLOAT_REGISTER_NAMES, f) : undefined,
      csr: isAll ? allCsrs(call, hart) : undefined,
    };
  },
  text({ hart, privilege, state, pc, symbol, integer, float, csr }) {
    const head = `hart ${hart}: ${privilege}-mode, ${state}, pc ${addressText(pc, symbol)}\n`;
    return head + [integer, float, csr].map(columns).join("");
  },
});

function stateOf(isStopped: boolean, isWaiting: boolean): "runs" | "waits" | "stopped" {
  if (isStopped) return "stopped";
  return isWaiting ? "waits" : "runs";
}

/** Names and values, three to a line. */
function columns(values: Readonly<Record<string, string>> | undefined): string {
  const cells = Object.entries(values ?? {}).map(([name, value]) => {
    return `${name.padEnd(14)}${hex64(BigInt(value))}`;
  });
  const lines: string[] = [];
  for (let at = 0; at < cells.length; at += 3)
    lines.push(`  ${cells.slice(at, at + 3).join("  ")}`);
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function allCsrs(call: Call, hart: number): Record<string, string> {
  const { debugger: dbg } = call.vm().machine;
  const numbers = Object.entries(CSR).sort(([, one], [, other]) => one - other);
  return Object.fromEntries(
    numbers.map(([name, number]) => [name, hex(dbg.csr(hart, number) ?? 0n)]),
  );
}

/** The number of a CSR's name or number. Throws UsageError. */
function csrOf(text: string): number {
  const number = /^(\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : CSR[text as keyof typeof CSR];
  if (number !== undefined && number <= 0xfff) return number;
  throw new UsageError(`CSR "${text}": accepted are names such as satp, and 0 to 0xfff`);
}

const csr = command({
  family: "debug",
  name: "csr",
  summary: "show or write a control and status register",
  details: `
Without NAME all are shown. A value is written as M-mode would write it: fields keep to what is
legal. A machine that runs is not written to; \`vm pause\` lets it stand.`,
  parameters: [
    VM,
    { name: "NAME", kind: "text", help: "satp, 0x180", isOptional: true },
    { name: "VALUE", kind: "address", help: "a number to write", isOptional: true },
  ],
  options: { hart: HART },
  example: "debug csr web satp",
  result: z.object({ hart: z.number(), values: Values }),
  async run(call) {
    const { debugger: dbg } = call.vm().machine;
    const hart = hartOf(call);
    const name = call.text("NAME");
    if (name === undefined) return { hart, values: allCsrs(call, hart) };
    const number = csrOf(name);
    const value = call.address("VALUE");
    if (value !== undefined) dbg.setCsr(hart, number, value);
    const now = dbg.csr(hart, number);
    if (now === null) throw new VmError("not-found", `CSR ${name}: this machine's harts have none`);
    return { hart, values: { [csrName(number)]: hex(now) } };
  },
  text: ({ values }) => columns(values),
});

const translate = command({
  family: "debug",
  name: "translate",
  summary: "show where a virtual address leads, level by level",
  details:
    "Nothing is cached by it and no accessed bit is set. Without --access rights do not count.",
  parameters: [VM, { name: "ADDRESS", kind: "address", help: "as the hart sees it" }],
  options: {
    hart: HART,
    access: {
      value: "KIND",
      kind: "choice",
      choices: ["read", "write", "execute"],
      help: "whether the hart may do this",
    },
  },
  example: "debug translate web 0x80200000",
  result: z.object({
    virtual: Hex,
    physical: Hex.nullable(),
    mode: z.string(),
    fault: z.string().nullable().describe("why it leads nowhere"),
    pageBytes: z.number().nullable(),
    rights: z.record(z.string(), z.boolean()).nullable(),
    levels: z.array(z.object({ level: z.number(), address: Hex, entry: Hex })),
    text: z.string(),
  }),
  async run(call) {
    const address = call.address("ADDRESS") ?? 0n;
    const access = call.text("access") as AccessKind | undefined;
    const found = call.vm().machine.debugger.translate(hartOf(call), address, access);
    const { mode, fault, pageBytes, rights } = found;
    return {
      virtual: hex(found.virtual),
      physical: found.physical === null ? null : hex(found.physical),
      mode,
      fault,
      pageBytes,
      rights: rights === null ? null : { ...rights },
      levels: found.steps.map(({ level, address: at, entry }) => {
        return { level, address: hex(at), entry: hex(entry) };
      }),
      text: translationText(found),
    };
  },
  text: ({ text }) => `${text}\n`,
});

const tlb = command({
  family: "debug",
  name: "tlb",
  summary: "show which translations of a hart are cached now",
  details: `
The cache is the emulator's and is coherent: the guest cannot tell what is in it. SUM is S-mode
with user pages open to it.`,
  parameters: [VM],
  options: { hart: HART },
  example: "debug tlb web",
  result: z.object({
    hart: z.number(),
    entries: z.array(
      z.object({
        kind: z.enum(["read", "write", "execute"]),
        regime: z.enum(["U", "S", "SUM", "M"]),
        page: Hex,
      }),
    ),
  }),
  async run(call) {
    const hart = hartOf(call);
    const entries = call.vm().machine.debugger.tlb(hart);
    return { hart, entries: entries.map((entry) => ({ ...entry, page: hex(entry.page) })) };
  },
  text({ entries }) {
    if (entries.length === 0) return "nothing is cached\n";
    const rows = entries.map(({ kind, regime, page }) => [kind, regime, page]);
    return table(["KIND", "MODE", "PAGE"], rows);
  },
});

const symbols = command({
  family: "debug",
  name: "symbols",
  summary: "read names for addresses from a System.map, kallsyms or an ELF file",
  details: `
Afterwards addresses may be given as NAME or NAME+OFFSET, and are shown with their names. What a
Linux guest runs, it tells itself: \`vm exec web 'cat /proc/kallsyms'\`, kept in a file; boot it
with nokaslr when addresses are to be the same next time. The System.map in Debian's kernel packages
is an empty one; the real one is in linux-image-*-dbg.`,
  parameters: [VM, { name: "FILE", kind: "file", help: "System.map, kallsyms, or an ELF64" }],
  options: {},
  example: "debug symbols web System.map",
  result: z.object({ file: z.string(), symbols: z.number() }),
  async run(call) {
    const vm = call.vm();
    const file = call.path("FILE") ?? "";
    const read = parseSymbols(await call.world.readFile(file));
    vm.symbols = read;
    return { file, symbols: read.size };
  },
  text: ({ file, symbols: count }) => `${count} symbols of ${file}\n`,
});

const digest = command({
  family: "debug",
  name: "digest",
  summary: "hash everything that a machine is",
  details:
    "Equal digests are equal machines: registers, memory, devices, time. A running one halts.",
  parameters: [VM],
  options: {},
  example: "debug digest web",
  result: z.object({ instructions: z.number(), digest: z.string() }),
  async run(call) {
    const vm = call.vm();
    const look = () => {
      const { machine } = vm;
      return { instructions: machine.instructions, digest: machine.stateDigest() };
    };
    return vm.state === "running" ? vm.between(look) : look();
  },
  text: ({ instructions, digest: value }) =>
    `${pairs([[value, `${instructions} instructions`]], "")}\n`,
});

/** The family, in the order of its help. */
export const debugCommands: readonly CommandSpec[] = [
  registers,
  csr,
  ...memoryCommands,
  translate,
  tlb,
  symbols,
  ...runningCommands,
  digest,
];
