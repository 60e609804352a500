/**
 * snapshots of Debian by the binary: a chain taken while the guest runs, gone back to level by
 * level, folded into one, and gone on from in another process. examples/snapshot-chain.mjs does it
 * with all 32 levels.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";

const test = suite("boot/snapshot");
const folder = mkdtempSync(join(tmpdir(), "rivulet-snapshot-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const DISK_BYTES = 1 << 20;

/** Runs lines as a script of the binary, in the folder; the lines that it printed. */
function script(...lines: string[]): string[] {
  const file = join(folder, "script");
  writeFileSync(file, lines.map((line) => `${line}\n`).join(""));
  const cli = join(process.cwd(), "dist/src/cli.js");
  const options = { cwd: folder, encoding: "utf8", timeout: 240_000 } as const;
  const done = spawnSync(process.execPath, [cli, "-f", file], options);
  assert.is(done.status, 0, `${done.stdout}${done.stderr}`);
  return done.stdout.trimEnd().split("\n");
}

const level = (number: number) => `vm exec a 'echo ${number} > /root/level; sync'`;
const CAT = "vm exec a 'cat /root/level'";

testNeeding(test, [DEBIAN_GUEST], "every level holds its file, also in another process", () => {
  const out = script(
    "snapshot mount-store store",
    "vm create a --guest debian --memory 128M --clock virtual",
    "vm start a",
    level(0),
    "snapshot create a base --type full",
    ...[1, 2, 3].flatMap((number) => [level(number), `snapshot create a level-${number}`]),
    "snapshot verify",
    ...["level-1", "level-3", "base", "level-2"].flatMap((name) => [
      `snapshot revert a ${name}`,
      CAT,
    ]),
    "snapshot merge a/level-3 --all",
    "snapshot list --json",
    "snapshot verify",
  );
  const levels = out.filter((line) => /^\d$/.test(line));
  assert.equal(levels, ["1", "3", "0", "2"]);
  const list = JSON.parse(out.find((line) => line.startsWith("[")) as string);
  assert.equal(
    list.map(({ name, type }: { name: string; type: string }) => [name, type]),
    [["level-3", "full"]],
  );
  assert.match(out.at(-1) as string, /^a\/level-3: \d+ pages, all as written$/);
  const after = script(
    "snapshot mount-store store",
    "snapshot restore a/level-3 b --lazy --start",
    "vm exec b 'cat /root/level'",
    "vm exec b 'echo 4 > /root/level'",
    "snapshot create b more",
    "vm stop b",
    "snapshot info b/more --json",
  );
  assert.is(after[2], "3");
  const info = JSON.parse(after.at(-1) as string);
  assert.equal([info.type, info.path], ["incremental", ["level-3", "more"]]);
});

testNeeding(test, [DEBIAN_GUEST], "a disk goes back with its machine, and into another", () => {
  const put = (text: string) =>
    `vm exec a 'printf ${text} | dd of=/dev/vda bs=4096 seek=3 conv=notrunc 2>/dev/null; sync'`;
  const read = "dd if=/dev/vda bs=4096 skip=3 count=1 2>/dev/null | head -c 5";
  const get = (vm: string) => `vm exec ${vm} '${read}'; vm exec ${vm} echo`;
  writeFileSync(join(folder, "disk.img"), new Uint8Array(DISK_BYTES));
  const out = script(
    "snapshot mount-store disks",
    "vm create a --guest debian --memory 128M --clock virtual --disk disk.img",
    "vm start a",
    put("first"),
    "snapshot create a base",
    put("later"),
    "snapshot create a next",
    put("never"),
    get("a"),
    "snapshot revert a base",
    get("a"),
    "snapshot revert a next",
    get("a"),
  );
  assert.equal(
    out.filter((line) => /^(first|later|never)$/.test(line)),
    ["never", "first", "later"],
  );
  // the file has moved on since: what the snapshot holds is what the guest sees
  writeFileSync(join(folder, "disk.img"), new Uint8Array(DISK_BYTES).fill(0x78));
  const after = script(
    "snapshot mount-store disks",
    "snapshot restore a/base b --start",
    get("b"),
    "snapshot restore a/next c --start --lazy",
    get("c"),
  );
  assert.equal(
    after.filter((line) => /^(first|later|never|xxxxx)$/.test(line)),
    ["first", "later"],
  );
});

test.run();
