/**
 * The prompt on a terminal of its own, with keys as a person presses them; scripts and stdin
 * through the binary; history; docs/commands.md.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Console, runToEnd } from "../../bench/process.ts";
import { nodePlatform } from "../../src/platform/node/platform.ts";
import { commandsDocument } from "../../src/shell/docs.ts";
import { COMMANDS } from "../../src/shell/registry.ts";
import { CLI, rivulet } from "../helpers/cli.ts";

const test = suite("shell/repl");
const SECONDS_MAX = 20;
const ESCAPE = String.fromCharCode(27);
const PROMPT = new RegExp(`rivulet> (?:${ESCAPE}\\[\\d+G)?$`);
const alive: Console[] = [];
const folder = mkdtempSync(join(tmpdir(), "rivulet-repl-"));
test.after(async () => {
  for (const one of alive) await one.kill();
  rmSync(folder, { recursive: true });
});

/** The shell on a terminal, its history in our folder. */
function onTerminal(): Console {
  const script = join(folder, "terminal.sh");
  const env = `cd "${folder}"; export XDG_STATE_HOME="${folder}/state"`;
  writeFileSync(script, `${env}\n"${process.execPath}" "${CLI}"\necho "status $?"\nstty -a\n`);
  const terminal = new Console(["script", "-qec", `bash ${script}`, "/dev/null"]);
  alive.push(terminal);
  return terminal;
}

async function type(terminal: Console, keys: string, until: RegExp = PROMPT): Promise<string> {
  terminal.write(keys);
  return terminal.expect(until, SECONDS_MAX);
}

test("a session: completion, history, a console and back, Ctrl-C, Ctrl-D", async () => {
  const terminal = onTerminal();
  await terminal.expect(PROMPT, SECONDS_MAX);
  assert.match(await type(terminal, "echo helk\x7flo\r"), /\nhello/);
  // a tab among other keys is pasted text: it must come alone
  await type(terminal, "vm cr", /vm cr$/);
  await type(terminal, "\t", /eate $/);
  await type(terminal, "a --guest b", /--guest b$/);
  await type(terminal, "\t", /uiltin $/);
  await type(terminal, "--memory 16M --start\r");
  // the prompt may be drawn once more when the machine starts
  await type(terminal, "vm list\r", /a +running[\s\S]*rivulet> /);
  assert.match(await type(terminal, "vm jump\r"), /unknown command "jump"/);

  await type(terminal, "console attach a\r", /Ctrl-A X detaches/);
  await type(terminal, "echo in the guest\r", /\nin the guest[\r\n]+> $/);
  await type(terminal, "\x03\x01x", /a: detached[\r\n]+[\s\S]*rivulet> /);

  await type(terminal, "console wait a never\r", /never\r+\n/);
  assert.match(await type(terminal, "\x03"), /\^C/);
  assert.match(await type(terminal, "echo $?\r"), /\n130/);
  assert.match(await type(terminal, "half a line\x03"), /\^C/);
  // the prompt may be drawn once more when the machine starts
  await type(terminal, "vm list\r", /a +running[\s\S]*rivulet> /);
  // two lines in one piece, as from the clipboard
  assert.match(await type(terminal, "echo one\recho two\r", /\ntwo[\s\S]*rivulet> /), /\none/);
  assert.match(await type(terminal, "\x1b[A\x1b[A\r"), /\none/);

  const end = await type(terminal, "\x04", /status 0[\s\S]*extproc/);
  assert.match(end, /ends with the shell: a/);
  for (const name of ["icanon", "echo", "isig"]) assert.match(end, new RegExp(`[\\s;]${name}\\b`));
  await terminal.finish(SECONDS_MAX);

  const history = join(folder, "state", "rivulet", "history");
  assert.is(statSync(history).mode & 0o777, 0o600);
  const again = onTerminal();
  await again.expect(PROMPT, SECONDS_MAX);
  assert.match(await type(again, "history 3\r"), /echo two[\s\S]*echo one[\s\S]*history 3/);
  await type(again, "exit 6\r", /status 6/);
  await again.finish(SECONDS_MAX);
});

test("another size of the terminal does not draw the prompt into a console", async () => {
  const script = join(folder, "resize.sh");
  const shell = `XDG_STATE_HOME="${folder}/state" "${process.execPath}" "${CLI}"`;
  writeFileSync(script, `tty\n${shell}\n`);
  const terminal = new Console(["script", "-qec", `bash ${script}`, "/dev/null"]);
  alive.push(terminal);
  const name = (await terminal.expect(/\/dev\/\S+/, SECONDS_MAX)).trim();
  await terminal.expect(PROMPT, SECONDS_MAX);
  await type(
    terminal,
    "vm create a --guest builtin --memory 16M --start\r",
    /start[\s\S]*rivulet> /,
  );
  await type(terminal, "console attach a\r", /detaches[\s\S]*\n> $/);
  assert.is((await runToEnd(["stty", "-F", name, "cols", "77"], SECONDS_MAX)).status, 0);
  let said = "";
  for (const word of ["one", "two"]) {
    said += await type(terminal, `echo ${word}\r`, new RegExp(`\\n${word}[\\r\\n]+> $`));
  }
  assert.not.match(said, /rivulet> /);
  await type(terminal, "\x01x", /a: detached[\s\S]*rivulet> /);
  await type(terminal, "exit\r", /exit/);
  await terminal.finish(SECONDS_MAX);
});

test("Ctrl-Z gives the terminal back; the prompt is there again afterwards", async () => {
  const script = join(folder, "jobs.sh");
  const job = `XDG_STATE_HOME="${folder}/state" "${process.execPath}" "${CLI}"`;
  writeFileSync(script, `set -m\n${job}\nstty -a; echo "stood $?"\nread -r\nfg\necho "left $?"\n`);
  const terminal = new Console(["script", "-qec", `bash ${script}`, "/dev/null"]);
  alive.push(terminal);
  await terminal.expect(PROMPT, SECONDS_MAX);
  const stood = await type(terminal, "\x1a", /stood 0/);
  for (const name of ["icanon", "echo", "isig"]) {
    assert.match(stood, new RegExp(`[\\s;]${name}\\b`));
  }
  await type(terminal, "\n");
  // the prompt may be drawn once more
  await type(terminal, "echo back\r", /\nback[\s\S]*rivulet> /);
  await type(terminal, "exit 4\r", /left 4/);
  await terminal.finish(SECONDS_MAX);
});

test("Ctrl-Z where nobody could let it go on does nothing", async () => {
  const terminal = onTerminal();
  await terminal.expect(PROMPT, SECONDS_MAX);
  await type(terminal, "\x1a");
  await type(terminal, "echo here\r", /\nhere[\s\S]*rivulet> /);
  await type(terminal, "exit\r", /status 0/);
  await terminal.finish(SECONDS_MAX);
});

test("a terminal that goes away ends the shell, quietly", async () => {
  const script = join(folder, "hangup.sh");
  const status = join(folder, "status");
  const shell = `XDG_STATE_HOME="${folder}/state" "${process.execPath}" "${CLI}"`;
  writeFileSync(script, `trap : HUP\n${shell} 2>"${folder}/said"\necho $? >"${status}"\n`);
  const terminal = new Console(["script", "-qec", `bash ${script}`, "/dev/null"]);
  await terminal.expect(PROMPT, SECONDS_MAX);
  await terminal.kill();
  const { after } = nodePlatform();
  for (let round = 0; !existsSync(status) && round < 50 * SECONDS_MAX; round++) {
    await new Promise<void>((resolve) => void after(20, resolve));
  }
  assert.is(readFileSync(status, "utf8"), "129\n");
  const said = readFileSync(join(folder, "said"), "utf8");
  assert.match(said, /^rivulet [^\n]+leaves\n$/, said);
});

test("history is cut at 1000 lines", async () => {
  const history = join(folder, "state", "rivulet", "history");
  writeFileSync(history, Array.from({ length: 1500 }, (_, line) => `echo ${line}\n`).join(""));
  const terminal = onTerminal();
  await terminal.expect(PROMPT, SECONDS_MAX);
  await type(terminal, "exit\r", /status 0/);
  await terminal.finish(SECONDS_MAX);
  const lines = readFileSync(history, "utf8").trimEnd().split("\n");
  assert.equal([lines.length, lines[0], lines.at(-1)], [1001, "echo 500", "exit"]);
});

test("-f runs a script with arguments; stdin is one too; both stop where a command fails", async () => {
  const script = join(folder, "two.rv");
  writeFileSync(script, 'echo "$1" of $#\nvm start nobody\necho not reached\n');
  const stopped = await rivulet(["-f", script, "first arg", "--json"]);
  assert.is(stopped.status, 1);
  assert.is(stopped.stdout, "first arg of 2\n");
  assert.match(stopped.stderr, new RegExp(`^${script}:2: machine "nobody"`));
  const kept = await rivulet(["--keep-going", "-f", script, "x"]);
  assert.equal([kept.status, kept.stdout], [1, "x of 1\nnot reached\n"]);

  const piped = await rivulet([], { input: "echo 'one\ntwo' \\\n  three\n\nvm jump\necho no\n" });
  assert.equal([piped.status, piped.stdout], [2, "one\ntwo three\n"]);
  assert.match(piped.stderr, /^stdin:5: vm: unknown command "jump"/);
  assert.equal(await rivulet([], { input: "" }), { status: 0, stdout: "", stderr: "" });
  assert.is((await rivulet(["-f", "-"], { input: "exit 3\necho no" })).status, 3);
  assert.is((await rivulet(["-f", join(folder, "none.rv")])).status, 1);
});

test("a script drives a machine, the same way every time", async () => {
  const script = join(folder, "machine.rv");
  writeFileSync(
    script,
    `vm create m --guest builtin --memory 16M --clock virtual --start
console wait m '> '
console send m 'primes 100\\n'
console wait m 'primes up to' --timeout 20s
console send m 'poweroff 3\\n'
vm wait m --timeout 20s
vm list --json
`,
  );
  const { status, stdout, stderr } = await rivulet(["-f", script]);
  assert.is(status, 0, stderr);
  const [machine] = JSON.parse(stdout.split("\n").at(-2) as string);
  assert.equal(machine.ended, { kind: "failure", code: 3, text: "failure, code 3" });
});

test("what needs a shell says so; what does not runs alone", async () => {
  const refused = await rivulet(["vm", "create", "m", "--guest", "builtin"]);
  assert.is(refused.status, 2);
  assert.match(refused.stderr, /^rivulet: vm create needs a shell .*--connect/);
  const leaving = await rivulet(["exit", "3"]);
  assert.is(leaving.status, 2);
  assert.match(leaving.stderr, /^rivulet: exit needs a shell: /);
  assert.is((await rivulet(["vm", "list"])).status, 0);
  const { stdout } = await rivulet(["capabilities", "--json"]);
  const { commands } = JSON.parse(stdout);
  assert.is(commands.length, COMMANDS.length);
  assert.ok(commands.every((one: { help: string }) => one.help.length > 0));
});

test("a script ends with its reader", async () => {
  const line = `yes "echo x" | head -100000 | "${process.execPath}" "${CLI}" -f - | head -1; echo \${PIPESTATUS[2]}`;
  const shell = new Console(["bash", "-c", line]);
  alive.push(shell);
  assert.is(await shell.expect(/\n\d+\n$/, SECONDS_MAX), "x\n141\n");
  assert.is(await shell.finish(SECONDS_MAX), 0);
  assert.is(shell.stderr, "");
});

test("a script of quick commands notices that its reader is gone, and Ctrl-C", async () => {
  const script = join(folder, "quick.rv");
  const marker = join(folder, "marker.img");
  writeFileSync(script, `${"echo x\n".repeat(100_000)}disk create ${marker} 1M\n`);
  const run = `"${process.execPath}" "${CLI}" -f "${script}"`;
  const piped = new Console(["bash", "-c", `${run} | head -1; echo \${PIPESTATUS[0]}`]);
  alive.push(piped);
  assert.is(await piped.expect(/\n\d+\n$/, SECONDS_MAX), "x\n141\n");
  await piped.finish(SECONDS_MAX);
  assert.not(existsSync(marker), "it went on to the end");

  // the first line out says that it runs
  const interrupt = `{ read -r; kill -INT $(cat "${folder}/pid"); cat >/dev/null; }`;
  const begin = `echo $BASHPID >"${folder}/pid"; exec ${run}`;
  const line = `set -m; (${begin}) | ${interrupt}; echo \${PIPESTATUS[0]}`;
  const interrupted = new Console(["bash", "-c", line]);
  alive.push(interrupted);
  await interrupted.expect(/^130\n$/, SECONDS_MAX);
  await interrupted.finish(SECONDS_MAX);
  assert.not(existsSync(marker), "it went on to the end");
});

test("output that finds no room is told, and the status says so", async () => {
  const script = join(folder, "full.rv");
  writeFileSync(script, "echo one\necho two\n");
  for (const args of ["capabilities --json", `-f ${script}`]) {
    const line = `"${process.execPath}" "${CLI}" ${args} >/dev/full`;
    const { status, stderr } = await runToEnd(["bash", "-c", line], SECONDS_MAX);
    assert.equal([status, stderr], [1, "rivulet: standard output: no space is left\n"]);
  }
});

test("what only a signal can end waits for it", async () => {
  const script = join(folder, "waits.rv");
  writeFileSync(script, "vm create web --guest builtin\necho ready\nvm wait web\n");
  const run = `"${process.execPath}" "${CLI}" -f "${script}" & run=$!`;
  const line = `${run}; read -r; kill -TERM $run; wait $run; echo "status $?"`;
  const shell = new Console(["bash", "-c", line]);
  alive.push(shell);
  await shell.expect(/ready\n/, SECONDS_MAX);
  shell.write("now\n");
  assert.is(await shell.expect(/status \d+\n/, SECONDS_MAX), "status 143\n");
  await shell.finish(SECONDS_MAX);
});

test("an error before any command runs is a document, too, with --json", async () => {
  const cases: readonly [readonly string[], number, string, RegExp][] = [
    [["vm", "info", "web", "--json"], 2, "usage", /needs a shell with machines/],
    [["--json", "vm", "list"], 2, "usage", /unknown option --json; accepted: -f FILE/],
    [["--connect", "unix:/nowhere/s", "vm", "list", "--json"], 1, "not-found", /no process/],
  ];
  for (const [args, status, code, message] of cases) {
    const result = await rivulet([...args]);
    assert.is(result.status, status);
    const { error } = JSON.parse(result.stdout);
    assert.is(error.code, code);
    assert.match(error.message, message);
    assert.is(result.stderr, `rivulet: ${error.message}\n`);
  }
});

test("docs/commands.md is what the table says: npx rivulet help --markdown > docs/commands.md", () => {
  assert.is(readFileSync("docs/commands.md", "utf8"), commandsDocument(COMMANDS));
});

test.run();
