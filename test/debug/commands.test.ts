/**
 * commands: the `debug` family as a person uses it: symbols for addresses, stops that pause, what
 * is refused, and a machine that does not notice.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Shell, setUp } from "../shell/cases.ts";

const test = suite("debug/commands");

/** Runs lines in a fresh shell; the text of stdout, with the status checked. */
async function say(shell: Shell, line: string, status = 0): Promise<string> {
  shell.said.out = "";
  shell.said.err = "";
  assert.is(await shell.run(line), status, `${line}: ${shell.said.out}${shell.said.err}`);
  return status === 0 ? shell.said.out : shell.said.err + shell.said.out;
}

/** Machine `web` before its first instruction. */
async function standing(): Promise<Shell> {
  const shell = await setUp();
  await say(shell, "vm destroy web --keep; vm start web --paused");
  return shell;
}

test("symbols stand for addresses, and addresses are shown with them", async () => {
  const shell = await standing();
  assert.match(await say(shell, "debug break web _start", 2), /accepted are addresses/);
  assert.match(await say(shell, "debug symbols web System.map"), /2 symbols/);
  await say(shell, "debug break web _start+0x14");
  assert.is(await say(shell, "debug break web"), "0x80000014 <_start+0x14>\n");
  assert.match(await say(shell, "debug disassemble web _start --count 2"), /^_start:\n.*mhartid\n/);
  const stop = await say(shell, "debug continue web");
  assert.match(
    stop,
    /^hart 0 at 0x80000014 <_start\+0x14>: breakpoint\n {2}0x80000014 {2}00000297/,
  );
  assert.match(await say(shell, "vm list"), /paused/);
  await shell.fleet.dispose();
});

test("steps and traces agree", async () => {
  const shell = await standing();
  const trace = await say(shell, "debug trace web 6");
  const lines = trace.trim().split("\n");
  assert.is(lines.length, 6);
  assert.match(lines[2], /auipc t0,0x0 +t0=0x80000014/);
  const next = await say(shell, "debug step web");
  assert.match(next, /: step\n/);
  const again = await standing();
  assert.is(await say(again, "debug step web 7"), next);
  await say(again, "debug trace web 3 --file out.trace");
  for (const { fleet } of [shell, again]) await fleet.dispose();
});

test("a step or a wait that comes to nothing ends in time, with the machine paused", async () => {
  const shell = await setUp();
  assert.match(await say(shell, "debug step web", 1), /pause it first/);
  await say(shell, "vm pause web");
  assert.match(await say(shell, "debug step web --timeout 50ms", 1), /did not stop in time/);
  assert.match(await say(shell, "debug continue web --timeout 50ms", 1), /did not stop in time/);
  assert.match(await say(shell, "vm list"), /paused/);
  await say(shell, "vm resume web; console send web 'poweroff\\n'; vm wait web");
  await shell.fleet.dispose();
});

test("a watchpoint tells who touched what", async () => {
  const shell = await standing();
  await say(shell, "debug watchpoint web 0x10000000 --length 8 --kind access");
  assert.match(
    await say(shell, "debug continue web"),
    /hart 0 at 0x8\w+: (read|write) of 0x1000000\w\n/,
  );
  assert.match(await say(shell, "debug watchpoint web"), /0x10000000 +8 +access/);
  await say(shell, "debug watchpoint web 0x10000000 --clear");
  assert.is(await say(shell, "debug watchpoint web"), "no watchpoints\n");
  await shell.fleet.dispose();
});

test("a machine that was stepped and watched is the machine that was not", async () => {
  const plain = await standing();
  await say(plain, "console send web 'poweroff\\n'; vm resume web; vm wait web");
  const digest = await say(plain, "debug digest web");
  assert.match(digest, /^[0-9a-f]{64} /);
  const shell = await standing();
  await say(shell, "console send web 'poweroff\\n'");
  await say(shell, "debug trace web 50; debug registers web --all; debug tlb web");
  await say(shell, "debug watchpoint web 0x10000000 --kind access; debug continue web");
  await say(shell, "debug watchpoint web --clear; debug break web 0x80000014; debug digest web");
  await say(shell, "vm resume web; vm wait web");
  assert.is(await say(shell, "debug digest web"), digest);
  for (const { fleet } of [plain, shell]) await fleet.dispose();
});

test("memory and CSRs are written, and wrong values refused", async () => {
  const shell = await standing();
  await say(shell, "debug write web 0x80f00000 0xdeadbeef --width 4");
  assert.match(await say(shell, "debug memory web 0x80f00000 --length 4"), /ef be ad de/);
  const words = await say(shell, "debug memory web 0x80f00000 --length 8 --format words");
  assert.match(words, /00000000deadbeef/);
  assert.match(await say(shell, "debug write web 0x80f00000 300 --width 1", 2), /fit 1 bytes/);
  assert.match(await say(shell, "debug write web 0x80f00000 abc", 2), /pairs of hex digits/);
  assert.match(await say(shell, "debug write web 0x10 00", 1), /outside RAM/);
  assert.match(await say(shell, "debug memory web 0x10", 1), /no memory is there/);
  assert.match(await say(shell, "debug csr web mtvec 0x80000100"), /mtvec +0x0000000080000100/);
  assert.match(await say(shell, "debug csr web mhartid 1", 1), /read-only/);
  assert.match(await say(shell, "debug csr web nonsense", 2), /accepted are names such as satp/);
  assert.match(await say(shell, "debug registers web --hart 3", 1), /accepted is 0$/m);
  assert.match(await say(shell, "debug gdb web 127.0.0.1:5", 2), /accepted is tcp:\/\//);
  await shell.fleet.dispose();
});

test.run();
