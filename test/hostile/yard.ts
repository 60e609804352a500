/**
 * yard: a host on which a hostile machine and a well-behaved neighbour run at the same time, and
 * what the hostile one did to either.
 *
 * Used by every suite of test/hostile.
 * Holds   the neighbour runs in small pieces, at the hostile machine's pace, so that its slices lie
 *         between the hostile ones from beginning to end; its digest and output must be those that
 *         it has alone. Host work is counted, never timed.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as assert from "uvu/assert";
import { MemoryBackend } from "../../src/device/block/memory.ts";
import { WORK_MAX } from "../../src/machine/hub.ts";
import {
  Host,
  type Machine,
  type MachineConfig,
  nodePlatform,
  type RunResult,
} from "../../src/node.ts";
import { neighbourProgram } from "./neighbour.ts";

const ARENA_BYTES = 64 << 20;
const NEIGHBOUR_PIECES = 60;
const NEIGHBOUR_PIECE = 25_000;
/** Turns of the event loop that the neighbour waits for the hostile machine to catch up. */
const PACE_TURNS_MAX = 200;
/**
 * Work of the largest single request: 16 MiB to or from a disk, twice the longest chain looked at.
 */
export const PIECE_WORK_MAX = (16 << 20) + 600_000;
/** The heap may differ by this much for reasons of its own. */
const HEAP_BYTES_MAX = 4 << 20;

/** What a hostile run came to. */
export interface Verdict {
  readonly result: RunResult;
  readonly machine: Machine;
  /** Slices seen, and the most host work that one of them held, beside the core's. */
  readonly slices: number;
  readonly workMax: number;
  readonly output: string;
}

export interface Siege extends MachineConfig {
  /** Instructions of the hostile machine. */
  readonly instructions: number;
  readonly arenaBytes?: number;
  /** Looks at the machine before it is disposed. */
  readonly inspect?: (verdict: Verdict) => void | Promise<void>;
  /** Acts on the machine while it runs. */
  readonly during?: (machine: Machine) => void | Promise<void>;
  /** The results that are an honest answer; by default any. */
  readonly accepted?: readonly RunResult["kind"][];
}

/** How the neighbour ends. */
interface Ending {
  readonly digest: string;
  readonly output: string;
}

const NEIGHBOUR_OUTPUT_MAX = 1 << 16;

function collect(machine: Machine, most: number): { text: string } {
  const decoder = new TextDecoder("latin1");
  const output = { text: "" };
  machine.console.onOutput((bytes) => {
    if (output.text.length < most) output.text += decoder.decode(bytes);
  });
  return output;
}

async function makeNeighbour(host: Host): Promise<Machine> {
  const disk = new MemoryBackend(Uint8Array.from({ length: 1 << 16 }, (_, at) => (at * 7) & 0xff));
  const machine = host.createMachine({
    ...{ name: "neighbour", kernel: neighbourProgram(), memoryBytes: "2M", harts: 2, seed: 5 },
    disks: [disk],
    reserve: true,
  });
  await machine.boot();
  return machine;
}

/** `pace` is awaited behind each piece, with the share that is done. */
async function runNeighbour(
  machine: Machine,
  pace: (done: number) => Promise<void> = async () => {},
): Promise<Ending> {
  const output = collect(machine, NEIGHBOUR_OUTPUT_MAX);
  for (let piece = 1; piece <= NEIGHBOUR_PIECES; piece++) {
    const result = await machine.run(NEIGHBOUR_PIECE);
    assert.is(result.kind, "budget", "the neighbour goes on");
    await pace(piece / NEIGHBOUR_PIECES);
  }
  return { digest: machine.stateDigest(), output: output.text };
}

let aloneOnce: Promise<Ending> | null = null;

async function endAlone(): Promise<Ending> {
  const host = await Host.create({
    ...{ platform: nodePlatform(), arenaBytes: ARENA_BYTES, machinesMax: 4 },
  });
  try {
    return await runNeighbour(await makeNeighbour(host));
  } finally {
    host.dispose();
  }
}

let collectGarbage: (() => void) | null = null;

/** Bytes of heap and buffers in use after a collection; the arenas are left out. */
export async function heapBytes(): Promise<number> {
  if (collectGarbage === null) {
    setFlagsFromString("--expose-gc");
    collectGarbage = runInNewContext("gc") as () => void;
  }
  // buffers are freed beside the program: what one round finds the next one has
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await nodePlatform().yieldToEventLoop();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const describe = (result: RunResult) =>
  JSON.stringify(result, (_, value) =>
    typeof value === "bigint" ? `0x${value.toString(16)}` : value,
  );

/**
 * Lets `siege` loose beside the neighbour. Fails when the host suffered: a wrong digest or output
 * of the neighbour, a run without a typed end, a slice with too much work, frames or heap that did
 * not come back.
 */
export async function besiege(siege: Siege): Promise<Verdict> {
  const { instructions, arenaBytes, inspect, during, accepted, ...config } = siege;
  const alone = await (aloneOnce ??= endAlone());
  let slices = 0;
  let workMax = 0;
  let hostile: Machine | null = null;
  const base = nodePlatform();
  const platform = {
    ...base,
    yieldToEventLoop: () => {
      slices++;
      if (hostile !== null) workMax = Math.max(workMax, hostile.devices.hub.work);
      return base.yieldToEventLoop();
    },
  };
  const host = await Host.create({
    ...{ platform, arenaBytes: arenaBytes ?? ARENA_BYTES, machinesMax: 4 },
  });
  const heapBefore = await heapBytes();
  const neighbour = await makeNeighbour(host);
  const machine = host.createMachine({ name: "hostile", memoryBytes: "2M", ...config });
  hostile = machine;
  const output = collect(machine, 1 << 20);
  await machine.boot();
  let isOver = false;
  const running = machine.run(instructions).finally(() => (isOver = true));
  const acting = during?.(machine);
  const ending = await runNeighbour(neighbour, async (done) => {
    for (let turn = 0; turn < PACE_TURNS_MAX && !isOver; turn++) {
      if (machine.instructions >= done * instructions) break;
      await platform.yieldToEventLoop();
    }
  });
  await acting;
  const result = await running;
  const verdict: Verdict = { result, machine, slices, workMax, output: output.text };
  await inspect?.(verdict);
  assert.is(ending.digest, alone.digest, "the neighbour's digest");
  assert.is(ending.output, alone.output, "the neighbour's output");
  assert.is(typeof result.kind, "string");
  if (accepted !== undefined) assert.ok(accepted.includes(result.kind), describe(result));
  assert.ok(workMax <= WORK_MAX + PIECE_WORK_MAX, `${workMax} of work in a slice`);
  assert.match(machine.stateDigest(), /^[0-9a-f]{64}$/);
  machine.dispose();
  neighbour.dispose();
  const { framesFree, framesTotal } = host.stats();
  assert.is(framesFree, framesTotal, "frames came back");
  const grown = (await heapBytes()) - heapBefore;
  assert.ok(grown < HEAP_BYTES_MAX, `the heap grew by ${grown} bytes`);
  host.dispose();
  return verdict;
}
