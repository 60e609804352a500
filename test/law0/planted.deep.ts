/**
 * Law 0 is trusted because its lockstep catches what is planted: interrupts looked at where a run
 * begins, a turn that depends on the split, a stale translation, stale code.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildMutant, lines, type Mutation } from "../differential/mutations.ts";
import { createCore } from "../differential/rivulet.ts";
import { ALONE } from "../differential/runner.ts";
import { seedOf } from "../helpers/random.ts";
import { runPrograms } from "./lockstep.ts";

const test = suite("law0/planted");
const SEED = seedOf(2_000);
const PROGRAMS = 60;
const FOUR = { harts: 4, isEach: false };

const PLANTED: readonly Mutation[] = [
  {
    title: "interrupts are looked at whenever a run begins",
    file: "machine/run.ts",
    from: "if (position == 0) sample(machine);",
    to: "sample(machine);",
  },
  {
    title: "the end of a budget ends a turn",
    file: "machine/run.ts",
    from: "if (left == 0) return EXIT_BUDGET;",
    to: lines(
      "if (left == 0) {",
      "      rotate(machine, hartAt(machine, load<u32>(machine, MACHINE_TURN)));",
      "      return EXIT_BUDGET;",
      "    }",
    ),
  },
  {
    title: "a changed table entry leaves its translations",
    file: "memory/door.ts",
    from: "    tableStored(machine, frame, entry, offset, bytes);",
    to: "    if (bytes == 3) tableStored(machine, frame, entry, offset, bytes);",
  },
  {
    title: "a store into decoded code leaves what was decoded",
    file: "memory/door.ts",
    from: "if (!isHit) return;",
    to: "if (!isHit || bytes == 4) return;",
  },
  {
    title: "a hart that waits gives its turn up where a budget ends",
    file: "machine/run.ts",
    from: "      waitSlots(machine, block, share, isStepping);",
    to: "      waitSlots(machine, block, share, isStepping);\n      store<u32>(block, quantum, HART_QUANTUM_POSITION);",
  },
];

for (const mutation of PLANTED) {
  test(`caught: ${mutation.title}`, async () => {
    const wasm = buildMutant(mutation);
    const cores = [await createCore(wasm), await createCore(wasm)] as const;
    let found = "";
    for (const sharing of [ALONE, FOUR]) {
      if (found === "") found = runPrograms(cores, SEED, PROGRAMS, sharing).difference;
    }
    console.log(`${mutation.title}: ${found}`);
    assert.ok(found !== "", `SEED=${SEED}: not found in ${PROGRAMS} programs`);
  });
}

test.run();
