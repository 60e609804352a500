/**
 * The binary as its user meets it: exit statuses, what goes to which stream, pipes that close,
 * signals, a terminal.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Console } from "../../bench/process.ts";
import type { Assembler } from "../../src/asm/assembler.ts";
import { RunShape } from "../../src/shell/commands/run-result.ts";
import { CLI, type CliResult, rivulet, statsOf } from "../helpers/cli.ts";
import { elfProgram, emitHang, FINISHER, UART } from "../helpers/guest-program.ts";

const test = suite("shell/run");
const SECONDS_MAX = 60;
const folder = mkdtempSync(join(tmpdir(), "rivulet-shell-"));
test.after(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const program = (name: string, build: (a: Assembler) => void) => file(name, elfProgram(build));

function emitStore(a: Assembler, address: number, value: number): void {
  a.li("t0", address);
  a.li("t1", value);
  a.sw("t1", "t0", 0);
}

function emitText(a: Assembler, text: string): void {
  for (const character of text) emitStore(a, UART, character.charCodeAt(0));
}

/** Ends as the finisher is told. */
const ending = (name: string, value: number, text = "") =>
  program(name, (a) => {
    emitText(a, text);
    emitStore(a, FINISHER, value);
    emitHang(a);
  });

const spinning = program("spin", (a) => {
  a.label("loop");
  a.addi("s0", "s0", 1);
  a.j("loop");
});

const flooding = program("flood", (a) => {
  a.li("t0", UART);
  a.li("t1", 0x41);
  a.label("loop");
  a.sb("t1", "t0", 0);
  a.j("loop");
});

/** Stores `value` in tohost. */
const htif = (name: string, value: bigint) =>
  program(name, (a) => {
    a.la("t0", "tohost");
    a.li("t1", value);
    a.sd("t1", "t0", 0);
    emitHang(a);
    a.align(64);
    for (const label of ["tohost", "fromhost"]) {
      a.label(label);
      a.space(8);
    }
  });

test("it exits with what the guest asked the finisher for", async () => {
  const cases: readonly [number, number][] = [
    [0x5555, 0],
    [0x3333 | (1 << 16), 1],
    [0x3333 | (42 << 16), 42],
    [0x3333 | (255 << 16), 255],
    [0x3333 | (300 << 16), 255],
  ];
  for (const [value, status] of cases) {
    const result = await rivulet(["run", ending("finish", value, "hi\n")]);
    assert.equal(result, { status, stdout: "hi\n", stderr: "" });
  }
});

test("it exits with tohost >> 1 under --htif", async () => {
  for (const [value, status] of [
    [1n, 0],
    [3n, 1],
    [(77n << 1n) | 1n, 77],
    [(400n << 1n) | 1n, 255],
  ] as const) {
    assert.is((await rivulet(["run", "--htif", htif("tohost", value)])).status, status);
  }
});

test("firmware alone is enough to boot", async () => {
  const firmware = ending("firmware", 0x5555, "from M-mode\n");
  const result = await rivulet(["run", "--firmware", firmware]);
  assert.equal(result, { status: 0, stdout: "from M-mode\n", stderr: "" });
});

test("124 when the instructions ran out, exactly as many as were given", async () => {
  const result = await rivulet(["run", spinning, "--max-instructions", "1234567", "--stats"]);
  assert.is(result.status, 124);
  assert.is(result.stdout, "");
  const stats = statsOf(result);
  assert.is(stats.instructions, 1234567);
  assert.is(stats.ended, "budget");
  assert.is(stats.code, 124);
  for (const name of ["seconds", "mips", "framesUsed"]) assert.type(stats[name], "number");
});

test("--json, --stats and --digest together are one document", async () => {
  const asked = ["--max-instructions", "1000", "--stats", "--digest", "--json"];
  const { status, stdout, stderr } = await rivulet(["run", spinning, ...asked]);
  assert.equal([status, stdout], [124, ""]);
  const said = RunShape.parse(JSON.parse(stderr));
  assert.is(said.instructions, 1000);
  assert.match(`${said.digest}`, /^[0-9a-f]{64}$/);
  for (const name of ["mips", "framesUsed", "busyMs"] as const) assert.type(said[name], "number");
  assert.type(said.core?.tlbFills, "number");
});

test("`--` in front of a command ends our own options", async () => {
  assert.equal(await rivulet(["--", "echo", "--", "--help"]), {
    ...{ status: 0, stdout: "--help\n", stderr: "" },
  });
});

test("the same run has the same digest, another one another", async () => {
  const digest = async (count: string) => {
    const result = await rivulet(["run", spinning, "--max-instructions", count, "--digest"]);
    return /^digest ([0-9a-f]{64})$/m.exec(result.stderr)?.[1];
  };
  const first = await digest("100000");
  assert.ok(first !== undefined);
  assert.is(await digest("100000"), first);
  assert.is.not(await digest("100001"), first);
});

test("2 for a wrong command line, 1 for anything else, with one line that says why", async () => {
  const odd = file("odd.img", new Uint8Array(1000));
  const cut = file("cut.elf", readFileSync(spinning).subarray(0, 100));
  const cases: readonly [readonly string[], number, RegExp][] = [
    [["jump"], 2, /"jump".*run, receive, guest/],
    [["run"], 2, /FILE/],
    [["run", spinning, "--harts", "9"], 2, /"9"/],
    [["guest", "prepare", "plan9"], 2, /"plan9".*debian/],
    [["run", join(folder, "nothing")], 1, /nothing: there is no such file/],
    [["run", folder], 1, /it is a folder/],
    [["run", file("text", "hello ".repeat(100))], 1, /Image.*ELF64/],
    [["run", cut], 1, /ELF|bytes|segment/],
    [["run", spinning, "--memory", "0"], 1, /memory "?0"?: accepted/],
    [["run", spinning, "--memory", "1000001"], 1, /1000001.*multiples of 4096/],
    [["run", spinning, "--memory", "64G"], 1, /64G.*accepted/],
    [["run", spinning, "--memory", "lots"], 1, /lots/],
    [["run", spinning, "--disk", join(folder, "nodisk")], 1, /nodisk: there is no such file/],
    [["run", spinning, "--disk", odd], 1, /1000 bytes; accepted are multiples of 512/],
    [["run", "--guest", "plan9"], 1, /"plan9": there is builtin/],
    [["run", spinning, "--gdb", "localhost:1234"], 2, /"localhost:1234".*tcp:\/\/HOST:PORT/],
    [["run", spinning, "--gdb", "tcp://0.0.0.0:0"], 2, /other hosts can reach it; accepted/],
    [["vm", "creat"], 2, /^rivulet: vm: unknown command "creat": did you mean "create"\?/],
    [["mv", "list"], 2, /"mv": did you mean "vm"\?/],
    [["run", spinning, "--hrats", "2"], 2, /--hrats; accepted: --harts/],
    [["--", "vm", "--", "x"], 2, /^rivulet: vm: unknown command "--"/],
    [["guest", "remove", "plan9"], 1, /"plan9"/],
  ];
  for (const [args, status, pattern] of cases) {
    const result = await rivulet(args, { env: { XDG_CACHE_HOME: folder } });
    assert.is(result.status, status, `${args.join(" ")}: ${result.stderr}`);
    assert.is(result.stdout, "");
    assert.match(result.stderr, /^rivulet: [^\n]*\n$/);
    assert.match(result.stderr, pattern);
  }
});

test("stdin reaches the console, and its end ends nothing", async () => {
  const result = await rivulet(["run", "--guest", "builtin"], {
    input: "echo over the pipe\npoweroff 7\n",
  });
  assert.is(result.status, 7, result.stderr);
  assert.match(result.stdout, /^over the pipe\r?$/m);
  assert.is(result.stderr, "");
});

test("every run of a script hears that there is no more input", async () => {
  const script = join(folder, "twice.rv");
  const run = "run --guest builtin --memory 16M --json\n";
  writeFileSync(script, run.repeat(2));
  const { status, stderr } = await rivulet(["--keep-going", "-f", script]);
  assert.is(status, 1);
  const ends = [...stderr.matchAll(/^\{"ended":"(\w+)"/gm)].map(([, kind]) => kind);
  assert.equal(ends, ["idle", "idle"]);
});

test("input that comes bit by bit before the start enters at the same counts", async () => {
  const words = [process.execPath, CLI, "run", "--guest", "builtin", "--digest", "--stats"];
  const run = words.map((word) => `"${word}"`).join(" ");
  const ends: string[] = [];
  for (const feed of [
    "printf 'primes 500\\npoweroff 3\\n'",
    "(echo primes 500; sleep 0.05; echo poweroff 3)",
  ]) {
    const shell = new Console(["bash", "-c", `${feed} | ${run}`]);
    assert.is(await shell.finish(SECONDS_MAX), 3, shell.stderr);
    const digest = /^digest [0-9a-f]{64}$/m.exec(shell.stderr)?.[0];
    const instructions = /"instructions":\d+/.exec(shell.stderr)?.[0];
    ends.push(`${digest} ${instructions}`);
  }
  assert.is(ends[0], ends[1]);
});

test("a reader that goes away ends the run quietly", async () => {
  const line = `"${process.execPath}" "${CLI}" run "${flooding}" </dev/null | head -c 100000 | wc -c; echo \${PIPESTATUS[0]}`;
  const shell = new Console(["bash", "-c", line]);
  const said = await shell.expect(/\n\d+\n$/, SECONDS_MAX);
  assert.is(said, "100000\n141\n");
  assert.is(await shell.finish(SECONDS_MAX), 0);
  assert.is(shell.stderr, "");
});

test("a signal ends the run with 128 + its number, however much input waits", async () => {
  const guest = ending("wait", 0, "up\n");
  for (const [signal, status] of [
    ["TERM", 143],
    ["INT", 130],
    ["HUP", 129],
  ] as const) {
    const run = `"${process.execPath}" "${CLI}" run "${guest}" < /dev/zero & run=$!`;
    const wait = `read -r; kill -${signal} $run; wait $run; echo "status $?"`;
    const shell = new Console(["bash", "-c", `trap '' INT; ${run}; ${wait}`]);
    await shell.expect(/up\n/, SECONDS_MAX);
    shell.write("now\n");
    assert.is(await shell.expect(/status \d+\n/, SECONDS_MAX), `status ${status}\n`);
    await shell.finish(SECONDS_MAX);
  }
});

/**
 * A run on a terminal of its own; what is written goes through the terminal, as a person's keys do.
 */
function onTerminal(args: readonly string[]): Console {
  const words = [process.execPath, CLI, ...args].map((word) => `"${word}"`).join(" ");
  const script = file("terminal.sh", `${words}\necho "status $?"\nstty -a\n`);
  return new Console(["script", "-qec", `bash ${script}`, "/dev/null"]);
}

test("on a terminal: raw, Ctrl-A H helps, Ctrl-A X leaves, and the terminal is as it was", async () => {
  const terminal = onTerminal(["run", "--guest", "builtin"]);
  await terminal.expect(/> $/, SECONDS_MAX);
  terminal.write("echo one\x7f\x7f\x7ftwo\r");
  await terminal.expect(/\ntwo[\r\n]+> $/, SECONDS_MAX);
  terminal.write("\x03\x01h");
  await terminal.expect(/Ctrl-A X {2}leave/, SECONDS_MAX);
  terminal.write("\x01x");
  const settings = await terminal.expect(/status 0[\s\S]*extproc/, SECONDS_MAX);
  for (const name of ["icanon", "echo", "isig", "icrnl", "opost"]) {
    assert.match(settings, new RegExp(`[\\s;]${name}\\b`));
  }
  await terminal.finish(SECONDS_MAX);
});

test("--help and --version print on stdout and exit 0", async () => {
  for (const args of [
    ["--help"],
    ["run", "--help"],
    ["guest", "--help"],
    ["guest", "list", "--help"],
  ]) {
    const result: CliResult = await rivulet(args);
    assert.is(result.status, 0);
    assert.match(result.stdout, /^Usage: rivulet/);
    assert.is(result.stderr, "");
  }
  assert.match((await rivulet(["--version"])).stdout, /^rivulet \d+\.\d+\.\d+\n$/);
});

test.run();
