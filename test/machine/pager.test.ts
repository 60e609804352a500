/**
 * pager: a machine whose memory is not here runs as one whose memory is: its harts, its disk's
 * requests, its console calls; whether pages come at once, later, or only at the second attempt.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { KIND_BASE } from "../../assembly/layout.ts";
import {
  type Host,
  type Machine,
  type MachineCapture,
  type MachineConfig,
  MemoryBackend,
  type Pager,
  type SavedMachine,
  VmError,
} from "../../src/node.ts";
import { DISK_SECTORS, emitDiskGuest } from "../helpers/disk-guest.ts";
import { elfProgram, emitSbi, imageProgram, RAM, smallHost } from "../helpers/guest-program.ts";

const test = suite("machine/pager");
const PAGE_BYTES = 4096;
/** Guests that must get somewhere do so in so many turns of the event loop. */
const TURNS_MAX = 20_000;

async function booted(host: Host, config: MachineConfig): Promise<Machine> {
  const machine = host.createMachine({ memoryBytes: "4M", ...config });
  await machine.boot();
  return machine;
}

/** The capture with every page left where it is, in the slot of its number. */
function lazily(capture: MachineCapture): SavedMachine {
  const { shape, sections, wallMs } = capture;
  const fill: SavedMachine["fill"] = (view) => {
    for (const batch of capture.root.pages()) {
      for (const page of batch.slice()) {
        assert.is(view.pagesLeave(page, 1, KIND_BASE, page), 1);
      }
    }
  };
  return { shape, sections, wallMs, fill };
}

class RootPager implements Pager {
  reads = 0;
  isClosed = false;
  readonly #capture: MachineCapture;

  constructor(capture: MachineCapture) {
    this.#capture = capture;
  }

  read(slot: number, target: Uint8Array): void | Promise<void> {
    this.reads++;
    target.set(this.#capture.root.page(slot) ?? new Uint8Array(PAGE_BYTES));
  }

  close(): void {
    assert.not(this.isClosed, "closed once");
    this.isClosed = true;
  }
}

class LatePager extends RootPager {
  override read(slot: number, target: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      setImmediate(() => {
        super.read(slot, target);
        resolve();
      });
    });
  }
}

/** Every page fails once when it fails late, and twice, with one who asks again, when at once. */
class BrokenPager extends LatePager {
  readonly #tried = new Map<number, number>();

  override read(slot: number, target: Uint8Array): Promise<void> {
    const tried = this.#tried.get(slot) ?? 0;
    if (tried > 1 - (slot % 2)) return super.read(slot, target);
    this.#tried.set(slot, tried + 1);
    const error = new VmError("io", `page in slot ${slot} cannot be read`);
    if (slot % 2 === 0) throw error;
    return Promise.reject(error);
  }
}

const PAGERS = { "at once": RootPager, late: LatePager, "at the second attempt": BrokenPager };

/** A guest whose SBI calls read and write pages: prints from one, reads its input into another. */
function emitTalker(a: Parameters<Parameters<typeof imageProgram>[0]>[0]): void {
  a.li("s3", 0);
  a.label("round");
  a.andi("t1", "s3", 7);
  a.slli("t1", "t1", 12);
  a.li("s4", RAM + 0x10_0000);
  a.add("s4", "s4", "t1");
  a.sd("s3", "s4", 0);
  emitSbi(a, 0x4442434e, 0);
  a.li("a0", 8);
  a.mv("a1", "s4");
  a.li("a2", 0);
  a.ecall();
  a.addi("s3", "s3", 1);
  a.j("round");
}

const GUESTS: Record<string, () => MachineConfig> = {
  "a guest with a disk": () => ({
    kernel: elfProgram(emitDiskGuest),
    disks: [new MemoryBackend(new Uint8Array(DISK_SECTORS * 512))],
  }),
  "a guest that prints through SBI": () => ({ kernel: imageProgram(emitTalker) }),
};

for (const [guest, config] of Object.entries(GUESTS)) {
  for (const [kind, PagerOf] of Object.entries(PAGERS)) {
    test(`${guest}, pages ${kind}: the same machine in the end`, async () => {
      const host = await smallHost({ machinesMax: 6 });
      const machine = await booted(host, config());
      assert.is((await machine.run(47_000)).kind, "budget");
      const capture = machine.capture();
      const pager = new PagerOf(capture);
      const disks = capture.disks.map((disk) => disk.open());
      const lazy = await host.createFrom(lazily(capture), { disks }, { identity: "same" });
      lazy.setPager(pager);
      const errors: number[] = [];
      lazy.on("pageError", ({ page }) => errors.push(page));
      lazy.on("state", ({ to, reason }) => {
        if (to === "paused" && reason === "io-error") setImmediate(() => lazy.resume());
      });
      assert.is((await machine.run(60_000)).kind, "budget");
      lazy.resume();
      assert.is((await lazy.run(60_000)).kind, "budget");
      assert.ok(pager.reads > 3, `${pager.reads} pages were read`);
      if (kind === "at the second attempt") assert.ok(errors.length > 0, "it was told");
      else assert.is(errors.length, 0);
      const rest = [...capture.root.pages()].flatMap((batch) => [...batch]);
      for (const page of rest) {
        const isAway = lazy.view.pageKind(page) === KIND_BASE;
        if (isAway) assert.ok(lazy.view.pageArrive(page, capture.root.page(page)));
      }
      assert.is(lazy.stateDigest(), machine.stateDigest());
      lazy.dispose();
      assert.ok(pager.isClosed);
    });
  }
}

test("an error pauses the machine before the instruction, with the run under way", async () => {
  const host = await smallHost();
  const machine = await booted(host, GUESTS["a guest that prints through SBI"]());
  await machine.run(5000);
  const capture = machine.capture();
  const lazy = await host.createFrom(lazily(capture), {}, { identity: "same" });
  lazy.setPager(new BrokenPager(capture));
  const told: string[] = [];
  lazy.on("pageError", ({ message }) => told.push(message));
  lazy.resume();
  const running = lazy.run(100);
  for (let turn = 0; turn < TURNS_MAX && lazy.state !== "paused"; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal([lazy.state, lazy.reason, lazy.hasRun], ["paused", "io-error", true]);
  assert.ok(lazy.instructions < capture.instructions + 100);
  assert.match(told[0], /page in slot \d+ cannot be read/);
  lazy.stop();
  assert.is((await running).kind, "stopped");
});

test("without a pager an absent page is an error that says so", async () => {
  const host = await smallHost();
  const machine = await booted(host, GUESTS["a guest that prints through SBI"]());
  await machine.run(5000);
  const lazy = await host.createFrom(lazily(machine.capture()), {}, { identity: "same" });
  const told: string[] = [];
  lazy.on("pageError", ({ message }) => told.push(message));
  lazy.resume();
  const running = lazy.run(100);
  for (let turn = 0; turn < TURNS_MAX && told.length === 0; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(told[0], /there is no pager/);
  lazy.dispose();
  await running;
});

test("forks share the pager; the last one closes it", async () => {
  const host = await smallHost({ machinesMax: 6 });
  const machine = await booted(host, GUESTS["a guest that prints through SBI"]());
  await machine.run(5000);
  const capture = machine.capture();
  const lazy = await host.createFrom(lazily(capture), {}, { identity: "same" });
  const pager = new LatePager(capture);
  lazy.setPager(pager);
  lazy.resume();
  const [child] = await lazy.fork(1, { exact: true });
  lazy.dispose();
  assert.not(pager.isClosed);
  await child.run(3000);
  await machine.run(3000);
  assert.is(child.view.harts[0].pc, machine.view.harts[0].pc);
  assert.is(child.view.harts[0].x(19), machine.view.harts[0].x(19));
  child.dispose();
  assert.ok(pager.isClosed);
});

test("a capture holds the pager of what is absent in it, whatever its machine becomes", async () => {
  const host = await smallHost({ machinesMax: 6 });
  const machine = await booted(host, GUESTS["a guest that prints through SBI"]());
  await machine.run(5000);
  const first = machine.capture();
  await machine.run(5000);
  const second = machine.capture();
  const lazy = await host.createFrom(lazily(first), {}, { identity: "same" });
  const pager = new RootPager(first);
  lazy.setPager(pager);
  const kept = lazy.capture();
  // it becomes another one, all of whose pages are here
  await lazy.adopt(second, { identity: "same" });
  assert.is(lazy.stateDigest(), second.digest());
  assert.not(lazy.pages.has(pager) || pager.isClosed, "the capture alone needs it");
  await lazy.adopt(kept, { identity: "same" });
  assert.ok(lazy.pages.has(pager));
  const made = await host.createFrom(kept, {}, { identity: "same" });
  kept.release();
  kept.release();
  for (const one of [lazy, made]) {
    for (let page = 0; page < one.view.ramPages; page++) await one.pages.bring(page);
    assert.is(one.stateDigest(), first.digest());
    assert.not(pager.isClosed);
    one.dispose();
  }
  assert.ok(pager.isClosed);
  host.dispose();
});

test.run();
