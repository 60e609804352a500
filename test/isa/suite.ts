/**
 * suite: runs an IsaProgram and compares every result, on the core and (to check the reference
 * model) in QEMU with a file as its RAM.
 *
 * Used by the suites of this folder.
 * Holds   a suite's two titles per block name the place that ran it, so a wrong reference shows as
 *         a failure "in QEMU", a wrong core as one "here".
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EXIT_BUDGET, EXIT_MMIO } from "../../assembly/layout.ts";
import { elf64, type Program } from "../../src/asm/index.ts";
import { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { QEMU, testNeeding } from "../helpers/need.ts";
import { FINISHER, FINISHER_PASS, IsaProgram, RAM_BYTES, RESULTS } from "./program.ts";

const RAM = 0x80000000;
const SLOTS_MAX = 50_000_000;
const GUARD_MS = 120_000;
const CPU = "rv64,h=off,zba=on,zbb=on,zbs=on,zbc=off";

/** Reads guest memory after a run. */
type Reader = (address: number, bytes: number) => Uint8Array;

function describeTrap(read: Reader, image: Program): string {
  const record = read(Number(image.symbols.get("trapRecord")), 24);
  const view = new DataView(record.buffer, record.byteOffset);
  const [cause, pc, value] = [0, 8, 16].map((at) => view.getBigUint64(at, true).toString(16));
  return `the program trapped: cause ${cause}, pc ${pc}, value ${value}`;
}

/** Runs the image on the core alone: no devices but the finisher, which ends it. */
export async function runHere(image: Program): Promise<Reader> {
  const wasm = readFileSync(new URL("../../machine.wasm", import.meta.url));
  const core = await Core.create(wasm, { arenaBytes: 64 * 1024 * 1024, machinesMax: 1 });
  const machine = MachineView.create(core, {
    ramPages: RAM_BYTES / 4096,
    harts: 1,
    quantum: 10_000,
  });
  assert.ok(machine.memory.write(RAM, image.bytes), "the image fits");
  machine.harts[0].pc = image.base;
  machine.sync();
  const read: Reader = (address, bytes) => {
    const target = new Uint8Array(bytes);
    assert.ok(machine.memory.read(address, target), `memory at ${address.toString(16)}`);
    return target;
  };
  const exit = machine.run(SLOTS_MAX);
  const pc = machine.harts[0].pc.toString(16);
  assert.is.not(exit, EXIT_BUDGET, `still running after ${SLOTS_MAX} slots, pc ${pc}`);
  assert.is(exit, EXIT_MMIO, `left with an exit other than MMIO, pc ${pc}`);
  assert.is(machine.exitAddress, FINISHER, `device access, pc ${pc}`);
  if (machine.exitValueLow !== FINISHER_PASS) assert.unreachable(describeTrap(read, image));
  return read;
}

/** Runs the image in QEMU; its RAM is a file, which is read afterwards. */
export function runInQemu(image: Program): Reader {
  const folder = mkdtempSync(join(tmpdir(), "rivulet-isa-"));
  try {
    const [kernel, ram] = [join(folder, "test.elf"), join(folder, "ram")];
    const segments = [{ address: image.base, bytes: image.bytes }];
    writeFileSync(kernel, elf64({ entry: image.base, segments }));
    const memory = `memory-backend-file,id=ram,size=${RAM_BYTES},mem-path=${ram},share=on`;
    const machine = [
      "-M",
      "virt,memory-backend=ram",
      "-object",
      memory,
      "-m",
      `${RAM_BYTES >> 20}M`,
    ];
    const options = ["-cpu", CPU, "-bios", "none", "-kernel", kernel, "-display", "none"];
    const quiet = ["-serial", "none", "-monitor", "none", "-nodefaults"];
    const run = spawnSync(QEMU.name, [...machine, ...options, ...quiet], { timeout: GUARD_MS });
    const file = openSync(ram, "r");
    const bytes = new Uint8Array(RAM_BYTES);
    readSync(file, bytes, 0, RAM_BYTES, 0);
    closeSync(file);
    const read: Reader = (address, count) => bytes.slice(address - RAM, address - RAM + count);
    const text = run.status === 1 ? describeTrap(read, image) : String(run.stderr);
    assert.is(run.status, 0, `QEMU ended with ${run.status}: ${text}`);
    return read;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readResults(read: Reader, count: number): BigUint64Array {
  return new BigUint64Array(read(RESULTS, count * 8).buffer, 0, count);
}

const hex = (values: readonly bigint[]) =>
  values.map((value) => "0x" + value.toString(16)).join(", ");

/** Compares one block's results with its model, row by row. */
function checkBlock(
  block: IsaProgram["blocks"][number],
  results: BigUint64Array,
  isExempt: SuiteOptions["qemuErrs"] = () => false,
): void {
  block.rows.forEach((row, index) => {
    if (isExempt(block.title, row)) return;
    const at = block.firstResult + index * block.stores.length;
    const actual = [...results.subarray(at, at + block.stores.length)];
    const expected = block.model(row, index);
    const isEqual = expected.every((value, column) => value === actual[column]);
    const text = `${block.title} of ${hex(row)}: ${hex(actual)}, expected ${hex(expected)}`;
    assert.ok(isEqual && expected.length === actual.length, text);
  });
}

/** First word of a block's title: blocks of the same instruction are one test. */
const groupOf = (title: string) => title.split(" ")[0];

/** Where QEMU 7.2 cannot confirm the reference. */
interface SuiteOptions {
  /** The extension does not exist there. */
  readonly isHereOnly?: boolean;
  /** Rows of a block that it is known to get wrong. */
  readonly qemuErrs?: (title: string, row: readonly bigint[]) => boolean;
}

/** A suite, not yet run: one test per instruction here, and one for all of them in QEMU. */
export function isaSuite(
  name: string,
  build: (program: IsaProgram) => void,
  options: SuiteOptions = {},
): ReturnType<typeof suite> {
  const test = suite(name);
  const program = new IsaProgram();
  build(program);
  const image = program.assemble();
  assert.ok(image.bytes.length < RAM_BYTES / 2, "the image leaves room for window and results");
  assert.ok(RESULTS + program.resultCount * 8 < RAM + RAM_BYTES, "the results fit");
  const groups = new Map<string, IsaProgram["blocks"]>();
  for (const block of program.blocks) {
    groups.set(groupOf(block.title), [...(groups.get(groupOf(block.title)) ?? []), block]);
  }
  let results: BigUint64Array | undefined;
  test("the program runs to its end here", async () => {
    results = readResults(await runHere(image), program.resultCount);
  });
  for (const [group, blocks] of groups) {
    test(`${group} computes what the reference does`, () => {
      assert.ok(results, "the program did not end");
      for (const block of blocks) checkBlock(block, results);
    });
  }
  if (options.isHereOnly) return test;
  const title = "the reference agrees with QEMU";
  testNeeding(test, [QEMU], title, () => {
    const inQemu = readResults(runInQemu(image), program.resultCount);
    for (const block of program.blocks) checkBlock(block, inQemu, options.qemuErrs);
  });
  return test;
}
