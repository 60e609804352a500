/**
 * memory-watch: the commands of family `memory` that watch a machine write: dirty and heat.
 *
 * Used by commands/memory.ts.
 * Holds   one dirty log while the command lasts, whatever ends it; other logs are not disturbed.
 */
import { z } from "zod";
import { type Machine, VmError } from "../../index.ts";
import {
  type Call,
  type CommandSpec,
  checkSignal,
  command,
  type ParameterSpec,
} from "../command.ts";
import { bytesText, durationText, table } from "../render.ts";

const VM: ParameterSpec = { name: "VM", kind: "machine", help: "name of a machine" };
const PAGE_BYTES = 4096;
const RAM_BASE = 0x8000_0000;
const SPAN_MS_DEFAULT = 1000;
/** Places that people are shown. */
const SHOWN = 16;
const right = (name: string) => ({ name, align: "right" }) as const;

const FOR = {
  for: { value: "TIME", kind: "duration", help: "how long to watch, in wall time; default 1s" },
} as const;

/** Waits; a signal ends it at once. Throws Interrupted. */
async function pass(call: Call, ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const settle = () => {
      cancel();
      call.signal.removeEventListener("abort", settle);
      resolve();
    };
    const cancel = call.world.after(ms, settle);
    call.signal.addEventListener("abort", settle);
  });
  checkSignal(call.signal);
}

/** Pages of RAM written in each of `samples` equal parts of a span of time. */
async function watch(call: Call, machine: Machine, samples: number): Promise<number[][]> {
  const spanMs = call.number("for") ?? SPAN_MS_DEFAULT;
  const log = machine.view.openLog();
  try {
    const all: number[][] = [];
    for (let sample = 0; sample < samples; sample++) {
      await pass(call, spanMs / samples);
      if (machine.isDisposed) {
        throw new VmError("not-found", `machine "${machine.name}" was removed meanwhile`);
      }
      const pages: number[] = [];
      for (const batch of log.take()) pages.push(...batch);
      all.push(pages);
    }
    return all;
  } finally {
    log.close();
  }
}

const addressOf = (page: number) => `0x${(RAM_BASE + page * PAGE_BYTES).toString(16)}`;

const RunShape = z.object({ address: z.string(), pages: z.number() });

function runsOf(pages: readonly number[]): z.output<typeof RunShape>[] {
  const runs: { first: number; count: number }[] = [];
  for (const page of pages) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === page) last.count++;
    else runs.push({ first: page, count: 1 });
  }
  return runs.map(({ first, count }) => ({ address: addressOf(first), pages: count }));
}

const dirty = command({
  family: "memory",
  name: "dirty",
  summary: "say which pages a machine writes over a span of time",
  details: `
What a snapshot or a migration that starts now would have to take again. A page counts once, however
often it is written.`,
  parameters: [VM],
  options: FOR,
  example: "memory dirty web --for 100ms",
  result: z.object({
    wallMs: z.number(),
    instructions: z.number().describe("retired in that time"),
    pages: z.number(),
    runs: z.array(RunShape),
  }),
  async run(call) {
    const { machine } = call.vm();
    const { instructions } = machine;
    const beganMs = call.world.monotonicMs();
    const [pages] = await watch(call, machine, 1);
    return {
      wallMs: call.world.monotonicMs() - beganMs,
      instructions: machine.instructions - instructions,
      pages: pages.length,
      runs: runsOf(pages),
    };
  },
  text({ wallMs, instructions, pages, runs }) {
    const span = `${durationText(wallMs)}, ${(instructions / 1e6).toFixed(1)} M instructions`;
    const lines = [`${pages} pages (${bytesText(pages * PAGE_BYTES)}) written in ${span}`];
    const largest = [...runs].sort((a, b) => b.pages - a.pages).slice(0, SHOWN);
    for (const { address, pages: count } of largest) lines.push(`  ${address}  ${count}`);
    if (runs.length > SHOWN) lines.push(`  and ${runs.length - SHOWN} places more (--json)`);
    return `${lines.join("\n")}\n`;
  },
});

const REGION_PAGES = 512;

const heat = command({
  family: "memory",
  name: "heat",
  summary: "say which regions of a machine's RAM are written again and again",
  details: `
The span is cut into samples; the heat of a page is the number of samples in which it was written,
and that of a region of 2 MiB the sum over its pages.`,
  parameters: [VM],
  options: {
    ...FOR,
    samples: { value: "N", kind: "integer", least: 2, most: 1000, help: "default 10" },
  },
  example: "memory heat web --for 100ms --samples 5",
  result: z.object({
    samples: z.number(),
    pagesByHeat: z.array(z.number()).describe("written in 1, 2, ... all of the samples"),
    regions: z
      .array(z.object({ address: z.string(), pages: z.number(), heat: z.number() }))
      .describe("of 2 MiB, hottest first"),
  }),
  async run(call) {
    const { machine } = call.vm();
    const samples = call.number("samples") ?? 10;
    const heats = new Map<number, number>();
    for (const pages of await watch(call, machine, samples)) {
      for (const page of pages) heats.set(page, (heats.get(page) ?? 0) + 1);
    }
    const pagesByHeat = Array.from({ length: samples }, () => 0);
    const regions = new Map<number, { pages: number; heat: number }>();
    for (const [page, times] of heats) {
      pagesByHeat[times - 1]++;
      const number = Math.floor(page / REGION_PAGES);
      const region = regions.get(number) ?? { pages: 0, heat: 0 };
      regions.set(number, { pages: region.pages + 1, heat: region.heat + times });
    }
    const hottest = [...regions].sort(([a, one], [b, two]) => two.heat - one.heat || a - b);
    return {
      samples,
      pagesByHeat,
      regions: hottest.map(([number, region]) => {
        return { address: addressOf(number * REGION_PAGES), ...region };
      }),
    };
  },
  text({ samples, pagesByHeat, regions }) {
    const sum = pagesByHeat.reduce((total, count) => total + count, 0);
    const always = pagesByHeat[samples - 1];
    const head = `${sum} pages written, ${always} of them in all of ${samples} samples\n`;
    if (regions.length === 0) return head;
    const rows = regions.slice(0, SHOWN).map((region) => {
      return [region.address, `${region.pages}`, `${region.heat}`];
    });
    return `${head}${table(["REGION", right("PAGES"), right("HEAT")], rows)}`;
  },
});

/** These commands, in the order of help. */
export const watchCommands: readonly CommandSpec[] = [dirty, heat];
