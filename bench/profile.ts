/**
 * profile: which instructions, and which pairs of neighbours, a bench program executes. Run it as
 * `node dist/bench/profile.js [PROGRAM]... [--part N] [--top N]`; what the interpreter should fuse
 * is read from here.
 *
 * Holds   the counts are QEMU's: it logs each translated block once with its instructions (in_asm)
 *         and each executed block by address (exec), so what is counted is what any RV64 machine
 *         executes, whatever our own core does. Pairs across a block's end are counted too:
 *         `executed next` is what a fused handler needs to know.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { qemuElf } from "./contenders.ts";
import { PROGRAMS, type Program, programNamed } from "./programs.ts";
import { buildGuest } from "./toolchain.ts";

/** One static instruction of a block. */
interface Instruction {
  name: string;
  /** Destination register, empty when there is none. */
  target: string;
  sources: string;
}

/** Counts of one program. */
export interface Histogram {
  instructions: number;
  blocks: number;
  single: Map<string, number>;
  pair: Map<string, number>;
  /** Of each pair, how often the second reads what the first wrote. */
  dependent: Map<string, number>;
}

/** Assembler shorthands that hide the operation that a hart decodes. */
const PLAIN: Readonly<Record<string, string>> = {
  mv: "addi",
  li: "addi",
  nop: "addi",
  not: "xori",
  neg: "sub",
  negw: "subw",
  "sext.w": "addiw",
  seqz: "sltiu",
  snez: "sltu",
  sltz: "slt",
  sgtz: "slt",
  beqz: "beq",
  bnez: "bne",
  blez: "bge",
  bgez: "bge",
  bltz: "blt",
  bgtz: "blt",
  bgt: "blt",
  ble: "bge",
  bgtu: "bltu",
  bleu: "bgeu",
  j: "jal",
  jr: "jalr",
  ret: "jalr",
};

const STORE_OR_BRANCH = /^(s[bhwd]|fs[wd]|b[a-z]+|c\.fsdsp)$/;

/** Reads the disassembly of one instruction as QEMU prints it: name, then operands with commas. */
export function instructionOf(text: string): Instruction {
  const [shown, operands = ""] = text.trim().split(/\s+/, 2);
  const name = PLAIN[shown] ?? shown;
  if (STORE_OR_BRANCH.test(name) || operands === "") return { name, target: "", sources: operands };
  const comma = operands.indexOf(",");
  const target = comma < 0 ? operands : operands.slice(0, comma);
  return { name, target, sources: comma < 0 ? "" : operands.slice(comma + 1) };
}

function bump(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

/** Collects lines of `-d in_asm,exec,nochain` into counts. */
export class Trace {
  readonly #blocks = new Map<string, Instruction[]>();
  readonly #runs = new Map<string, number>();
  readonly #seams = new Map<string, number>();
  #open: Instruction[] | undefined;
  #last = "";

  /** Takes one line of the log. */
  line(text: string): void {
    if (text.startsWith("0x")) {
      const address = text.slice(2, 18);
      if (this.#open === undefined) {
        this.#open = [];
        this.#blocks.set(address, this.#open);
      }
      // Address, colon, encoding, then the assembler text; a comment follows a hash sign.
      const assembler = /^0x[0-9a-f]+:\s+[0-9a-f]+\s+([^#]*)/.exec(text)?.[1];
      if (assembler !== undefined) this.#open.push(instructionOf(assembler));
    } else if (text.startsWith("Trace")) {
      this.#open = undefined;
      const address = text.slice(text.indexOf("[")).split("/")[1];
      bump(this.#runs, address, 1);
      if (this.#last !== "") bump(this.#seams, `${this.#last} ${address}`, 1);
      this.#last = address;
    } else if (text.startsWith("IN:")) {
      this.#open = undefined;
    }
  }

  /** The counts over everything taken so far. */
  histogram(): Histogram {
    const counts: Histogram = {
      instructions: 0,
      blocks: 0,
      single: new Map(),
      pair: new Map(),
      dependent: new Map(),
    };
    for (const [address, times] of this.#runs) {
      const block = this.#blocks.get(address) ?? [];
      counts.blocks += times;
      counts.instructions += times * block.length;
      for (const [index, one] of block.entries()) {
        bump(counts.single, one.name, times);
        if (index > 0) this.#pair(counts, block[index - 1], one, times);
      }
    }
    for (const [seam, times] of this.#seams) {
      const [from, to] = seam.split(" ");
      const before = this.#blocks.get(from)?.at(-1);
      const after = this.#blocks.get(to)?.[0];
      if (before !== undefined && after !== undefined) this.#pair(counts, before, after, times);
    }
    return counts;
  }

  #pair(counts: Histogram, first: Instruction, second: Instruction, times: number): void {
    const key = `${first.name} ${second.name}`;
    bump(counts.pair, key, times);
    const reads = second.sources.split(/[,()]/);
    if (first.target !== "" && reads.includes(first.target)) bump(counts.dependent, key, times);
  }
}

/** Runs `rounds` rounds of a program under QEMU's log and counts. */
export async function profileOf(program: Program, rounds: number): Promise<Histogram> {
  const elf = buildGuest(program, rounds);
  const [command, ...args] = qemuElf(elf);
  const log = ["-d", "in_asm,exec,nochain"];
  const child = spawn(command, [...args, ...log], { stdio: ["ignore", "ignore", "pipe"] });
  const trace = new Trace();
  for await (const line of createInterface({ input: child.stderr })) trace.line(line);
  return trace.histogram();
}

function top(counts: ReadonlyMap<string, number>, limit: number): [string, number][] {
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, limit);
}

function print(name: string, counts: Histogram, limit: number): void {
  const share = (part: number) =>
    `${((100 * part) / counts.instructions).toFixed(1).padStart(5)} %`;
  const length = (counts.instructions / counts.blocks).toFixed(1);
  const lines = [`${name}: ${counts.instructions} instructions, ${length} to a block`];
  const singles = top(counts.single, limit);
  for (const [row, [pair, times]] of top(counts.pair, limit).entries()) {
    const depends = (100 * (counts.dependent.get(pair) ?? 0)) / times;
    const single = singles[row];
    const left = single === undefined ? "" : `${share(single[1])} ${single[0]}`;
    lines.push(
      `  ${left.padEnd(22)}${share(times)} ${pair.padEnd(22)} dependent ${depends.toFixed(0)} %`,
    );
  }
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** Adds `part` into `sum`, scaled so that every program weighs the same. */
function merge(sum: Histogram, part: Histogram): void {
  const scale = 1e6 / part.instructions;
  sum.instructions += 1e6;
  sum.blocks += part.blocks * scale;
  for (const field of ["single", "pair", "dependent"] as const) {
    for (const [key, times] of part[field]) bump(sum[field], key, times * scale);
  }
}

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      part: { type: "string", default: "200" },
      top: { type: "string", default: "20" },
    },
  });
  const names = positionals.length > 0 ? positionals : PROGRAMS.map((one) => one.name);
  const sum: Histogram = {
    instructions: 0,
    blocks: 0,
    single: new Map(),
    pair: new Map(),
    dependent: new Map(),
  };
  for (const name of names) {
    const program = programNamed(name);
    if (program === undefined) throw new Error(`no program ${name} in bench/programs.ts`);
    const rounds = Math.max(1, Math.floor(program.rounds / Number(values.part)));
    const counts = await profileOf(program, rounds);
    print(name, counts, Number(values.top));
    merge(sum, counts);
  }
  if (names.length > 1) print("all, each weighing the same", sum, 2 * Number(values.top));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2));
