/**
 * planted: bugs in the devices, the queues, the runner and the core, planted one at a time in a
 * copy of what was built, and the suite of test/hostile that must fail because of it.
 *
 *   PLANT=pattern   only bugs whose title matches
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildMutant, finderOf } from "../differential/mutations.ts";

const test = suite("hostile/planted");
const DIST = fileURLToPath(new URL("../../", import.meta.url));
/** A suite that takes longer has been hung by the bug. */
const GUARD_MS = 150_000;

/** A bug: in `file`, of assembly/ (.ts) or of the built src/ (.js), `from` becomes `to`. */
interface Planted {
  readonly title: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Suites of which at least one must see it, quickest first. */
  readonly suites: readonly string[];
}

const QUEUE = "device/virtio/queue.js";
const TRANSPORT = "device/virtio/transport.js";
const HUB = "machine/hub.js";
const CONSOLE = "machine/console.js";
const RUN_LOOP = "machine/run-loop.js";

const PLANTED: readonly Planted[] = [
  {
    title: "a buffer may lie outside RAM",
    file: QUEUE,
    from: 'if (!memory.contains(gpa, bytes)) throw new BadQueue("buffer outside RAM");',
    to: "",
    suites: ["virtio"],
  },
  {
    title: "a buffer may be empty",
    file: QUEUE,
    from: 'if (bytes === 0) throw new BadQueue("empty buffer");',
    to: "",
    suites: ["virtio"],
  },
  {
    title: "a chain goes on for a hundred thousand steps",
    file: QUEUE,
    from: "steps < CHAIN_MAX",
    to: "steps < 200 * CHAIN_MAX",
    suites: ["virtio"],
  },
  {
    title: "an indirect table may have any size",
    file: QUEUE,
    from: "|| bytes > 16 * CHAIN_MAX",
    to: "",
    suites: ["virtio"],
  },
  {
    title: "the available index may be anywhere",
    file: QUEUE,
    from: 'if (waiting > this.size) throw new BadQueue("available index");',
    to: "",
    suites: ["virtio"],
  },
  {
    title: "the used ring may lie outside RAM",
    file: QUEUE,
    from: 'if (!memory.contains(this.used, bytes)) throw new BadQueue("used ring outside RAM");',
    to: "",
    suites: ["virtio"],
  },
  {
    title: "a queue may have any size",
    file: TRANSPORT,
    from: "const isSize = value > 0 && value <= QUEUE_SIZE_MAX && (value & (value - 1)) === 0;",
    to: "const isSize = true;",
    suites: ["virtio"],
  },
  {
    title: "one notice is served in one piece",
    file: TRANSPORT,
    from: "if (queue.rounds > 0 && !this.context.mayGoOn()) break;",
    to: "",
    suites: ["virtio"],
  },
  {
    title: "what is left of a notice is forgotten",
    file: TRANSPORT,
    from: "if (queue.rounds > 0) this.notified(index);",
    to: "",
    suites: ["virtio", "host"],
  },
  {
    title: "a disk is read behind its end",
    file: "device/virtio/blk.js",
    from: "offset + bytes <= this.#backend.bytes && bytes % SECTOR_BYTES === 0",
    to: "true",
    suites: ["virtio"],
  },
  {
    title: "a backend's failure is thrown at the machine",
    file: "device/virtio/blk.js",
    from: "catch { return failed; }",
    to: "finally { }",
    suites: ["virtio"],
  },
  {
    title: "a device reaches a machine that is gone",
    file: HUB,
    from: "this.#isClosed = true;",
    to: "",
    suites: ["host"],
  },
  {
    title: "a wait may last for any time",
    file: "machine/runner.js",
    from: "next <= TIME_END_TICKS ? next : Number.POSITIVE_INFINITY",
    to: "next",
    suites: ["host"],
  },
  {
    title: "what a device left undone is done after the next instruction",
    file: "machine/runner.js",
    from: "if (hub.isTired) return AGAIN; hub.goOn();",
    to: "hub.goOn(); break;",
    suites: ["host", "virtio"],
  },
  {
    title: "stop does not end a wait for a disk",
    file: RUN_LOOP,
    from: "hub.isHeld && !this.#isDisposed && !this.isStopping",
    to: "hub.isHeld && !this.#isDisposed",
    suites: ["host"],
  },
  {
    title: "a reload that stop cut short is not begun again",
    file: RUN_LOOP,
    from: "if (runner === null)",
    to: "if (runner === null) this.#isReloading = false; if (runner === null)",
    suites: ["host"],
  },
  {
    title: "a machine that is disposed of in its slice keeps its frames",
    file: RUN_LOOP,
    from: "this.#owner.giveBack();",
    to: ";",
    suites: ["host"],
  },
  {
    title: "a reader's backlog grows without bound",
    file: CONSOLE,
    from: "queued > READER_BYTES_MAX && release === null",
    to: "false",
    suites: ["host"],
  },
  {
    title: "output that nobody listens to grows without bound",
    file: CONSOLE,
    from: "while (this.#backlogBytes > BACKLOG_BYTES_MAX)",
    to: "while (false)",
    suites: ["host"],
  },
  {
    title: "SBI asks a hart that is not there for its state",
    file: "machine/sbi.js",
    from: "if (id >= BigInt(this.#view.harts.length)) return answer(ERR_INVALID_PARAM); return answer(SUCCESS",
    to: "return answer(SUCCESS",
    suites: ["storms"],
  },
  {
    title: "SBI prints from anywhere",
    file: "machine/sbi.js",
    from: "hart.x(12) !== 0n || !this.#view.memory.contains(address, bytes)",
    to: "false",
    suites: ["storms"],
  },
  {
    title: "an HTIF write may be of any length",
    file: "machine/htif.js",
    from: "bytes <= BigInt(WRITE_BYTES_MAX) &&",
    to: "",
    suites: ["storms"],
  },
  {
    title: "a machine leaves its translations to the next one",
    file: "mmu/tlb.ts",
    from: "if (<usize>load<u32>(ARENA, ARENA_SLOT_OWNER) == machine) return;",
    to: "if (load<u32>(ARENA, ARENA_SLOT_OWNER) != 0) {\n    store<u32>(ARENA, <u32>machine, ARENA_SLOT_OWNER);\n    return;\n  }",
    suites: ["campaign", "harts"],
  },
  {
    title: "slow instructions cost nothing",
    file: "hart/slice.ts",
    from: "workAdd(SLOW_WORK);",
    to: "",
    suites: ["storms"],
  },
  {
    title: "a hart that only traps goes on for ever",
    file: "hart/slice.ts",
    from: "store<u32>(RUN, barren, HART_BARREN);",
    to: "",
    suites: ["storms"],
  },
];

/** A copy of what was built, with the bug in it. */
function plant({ file, from, to, title }: Planted): string {
  const parent = join(DIST, ".info");
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, "planted-"));
  for (const part of ["src", "assembly", "test", "machine.wasm"]) {
    cpSync(join(DIST, part), join(folder, part), { recursive: true });
  }
  if (file.endsWith(".ts")) {
    writeFileSync(join(folder, "machine.wasm"), buildMutant({ title, file, from, to }));
    return folder;
  }
  const path = join(folder, "src", file);
  const source = readFileSync(path, "utf8");
  const finder = finderOf({ from });
  assert.match(source, finder, `"${title}" no longer fits ${file}`);
  writeFileSync(
    path,
    source.replace(finder, () => to),
  );
  return folder;
}

/** Runs a suite of the copy; its first complaint, or null when it passes. */
function complaintOf(folder: string, name: string): string | null {
  const file = join(folder, "test/hostile", `${name}.test.js`);
  const done = spawnSync(process.execPath, [file], { encoding: "utf8", timeout: GUARD_MS });
  if (done.status === 0) return null;
  const failure = /FAIL\s+\S+\s+"(.*)"\s*\n\s*(.*)/.exec(done.stdout);
  if (failure === null) return `ended with ${done.status ?? done.signal}`;
  return `${failure[1]}: ${failure[2].slice(0, 100)}`;
}

const pattern = new RegExp(process.env["PLANT"] ?? "");
for (const planted of PLANTED.filter(({ title }) => pattern.test(title))) {
  test(`caught: ${planted.title}`, () => {
    const folder = plant(planted);
    try {
      for (const name of planted.suites) {
        const complaint = complaintOf(folder, name);
        if (complaint === null) continue;
        console.log(`${planted.title}: ${name}: ${complaint}`);
        return;
      }
      assert.unreachable(`passed ${planted.suites.join(", ")}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

test.run();
