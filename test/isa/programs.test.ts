/**
 * Conformance programs of our own, in the manner of the well-known suites: a physical environment
 * (M-mode start, PMP, delegation, ECALL to tohost) and a virtual one (a kernel that pages a U-mode
 * test in on demand and emulates A and D). Each runs here at once and in small slices with every
 * cache dropped in between, through `rivulet run --htif`, and in QEMU where QEMU can.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CROSS_COMPILER, QEMU, testNeeding } from "../helpers/need.ts";
import { type BareResult, runBare } from "./bare.ts";
import { type Build, buildLabel, Toolchain } from "./toolchain.ts";

const test = suite("isa/programs");
const toolchain = new Toolchain();
test.after(() => toolchain.dispose());

const GUARD_MS = 60_000;
const CLI = fileURLToPath(new URL("../../src/cli.js", import.meta.url));

/** Programs of U-mode: both environments. */
const USER = ["fence-i", "misaligned", "reservations", "straddle", "work"];
/** Programs that start in M-mode or S-mode. */
const PRIVILEGED = [
  "access",
  "alias",
  "atomic-misaligned",
  "block-zero",
  "breakpoint",
  "counters",
  "csr",
  "dirty",
  "hardware-ad",
  "illegal",
  "ma-fetch",
  "page-faults",
  "pmp",
  "split",
  "sstc",
  "supervisor",
  "traps",
  "vectored",
  "wfi",
];
/** What QEMU 7.2 lacks or does differently throughout; each program says what. */
const NOT_IN_QEMU = new Set(["atomic-misaligned", "block-zero", "counters", "dirty", "sstc"]);

const PHYSICAL: Build[] = [...USER, ...PRIVILEGED].map((name) => ({ name }));
const VIRTUAL = USER.flatMap((name) =>
  [3, 4, 5].flatMap((LEVELS): Build[] => [
    { name, isVirtual: true, defines: { LEVELS, SEED: LEVELS } },
    { name, isVirtual: true, defines: { LEVELS, SEED: LEVELS + 7, HARDWARE_AD: 1 } },
  ]),
);

function checkFaults(build: Build, result: BareResult): void {
  const count = (kind: string) => result.symbol(`faults_${kind}`);
  const pages = count("page");
  assert.ok(pages > 0n, "pages come in on demand");
  // With ADUE the walk sets the bits; without, each page in use faults once for A.
  const expected = build.defines?.HARDWARE_AD ? 0n : pages;
  assert.is(count("accessed"), expected, "faults for A");
  assert.ok(build.defines?.HARDWARE_AD ? count("dirty") === 0n : count("dirty") <= pages);
}

for (const build of [...PHYSICAL, ...VIRTUAL]) {
  testNeeding(test, [CROSS_COMPILER], `${buildLabel(build)} passes here`, async () => {
    const elf = toolchain.elf(build);
    const whole = await runBare(elf);
    assert.is(whole.code, 0, whole.why);
    if (build.isVirtual) checkFaults(build, whole);
    // Law 0: neither slices nor dropped caches may be seen, not even in the count.
    const sliced = await runBare(elf, { sliceSlots: build.name === "work" ? 4999 : 37, flush: 3 });
    assert.is(sliced.code, 0, `in slices: ${sliced.why}`);
    assert.is(sliced.slots, whole.slots, "slots in slices");
  });
}

// LR and SC need their whole loop in one turn, so the shortest quantum is not arbitrarily short.
for (const [harts, quantum] of [
  [2, 10_000],
  [4, 50],
  [4, 997],
  [4, 10_000],
]) {
  const title = `${harts} harts share memory, ${quantum} slots a turn`;
  testNeeding(test, [CROSS_COMPILER], title, async () => {
    const elf = toolchain.elf({ name: "harts", defines: { HARTS: harts } });
    const whole = await runBare(elf, { harts, quantum });
    assert.is(whole.code, 0, whole.why);
    const sliced = await runBare(elf, { harts, quantum, sliceSlots: 61, flush: 3 });
    assert.is(sliced.code, 0, `in slices: ${sliced.why}`);
    assert.is(sliced.slots, whole.slots, "slots in slices");
  });
}

function runInQemu(kernel: string, harts = 1): { code: number | null; text: string } {
  const cpu = ["-cpu", "rv64,h=off,zba=on,zbb=on,zbs=on", "-smp", String(harts)];
  const machine = ["-M", "spike", "-m", "64M", ...cpu];
  const quiet = ["-display", "none", "-nodefaults", "-monitor", "none", "-serial", "stdio"];
  const all = [...machine, ...quiet, "-bios", "none", "-kernel", kernel];
  const run = spawnSync(QEMU.name, all, { timeout: GUARD_MS, input: "" });
  return { code: run.status, text: `${run.stdout}${run.stderr}` };
}

const IN_QEMU: Build[] = [
  ...PHYSICAL.filter(({ name }) => !NOT_IN_QEMU.has(name)).map(({ name }) => {
    // The programs leave out what 7.2 does differently, and say so where.
    return { name, defines: { QEMU: 1 } };
  }),
  ...VIRTUAL.filter(({ defines }) => defines?.SEED === defines?.LEVELS),
];

for (const build of IN_QEMU) {
  testNeeding(test, [CROSS_COMPILER, QEMU], `${buildLabel(build)} passes in QEMU`, () => {
    const { code, text } = runInQemu(toolchain.path(build));
    assert.is(code, 0, text);
  });
}

testNeeding(test, [CROSS_COMPILER, QEMU], "four harts share memory in QEMU", () => {
  const build = { name: "harts", defines: { QEMU: 1 } };
  const { code, text } = runInQemu(toolchain.path(build), 4);
  assert.is(code, 0, text);
});

function runCommand(build: Build) {
  const run = spawnSync(process.execPath, [CLI, "run", "--htif", toolchain.path(build)], {
    timeout: GUARD_MS,
    input: "",
    encoding: "utf8",
  });
  return { code: run.status, output: run.stdout, errors: run.stderr };
}

const COMMANDS: Build[] = [
  { name: "page-faults" },
  { name: "vectored" },
  { name: "wfi" },
  { name: "work", isVirtual: true },
];
for (const build of COMMANDS) {
  testNeeding(test, [CROSS_COMPILER], `rivulet run --htif: ${buildLabel(build)}`, () => {
    const { code, output, errors } = runCommand(build);
    assert.is(code, 0, errors);
    assert.is(output, "");
  });
}

testNeeding(test, [CROSS_COMPILER], "a failing check is the exit code, in both ways", async () => {
  for (const isVirtual of [false, true]) {
    const build = { name: "failing", isVirtual };
    assert.is((await runBare(toolchain.elf(build))).code, 5);
    assert.is(runCommand(build).code, 5);
  }
});

test.run();
