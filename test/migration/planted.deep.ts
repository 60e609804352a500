/**
 * planted: bugs in the protocol, planted one at a time in a copy of what was built; the campaign of
 * simulated faults must find each.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("migration/planted (deep)");
const DIST = fileURLToPath(new URL("../..", import.meta.url));
/** Schedules in which a bug must show. */
const RUNS = 20_000;

/** A bug: a piece of a built file, and what it becomes. */
interface Bug {
  readonly title: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const BUGS: readonly Bug[] = [
  {
    title: "the source runs on before its abort is durable or acknowledged",
    file: "migration/source-commit.js",
    from: 'await Promise.race([this.#decide("aborted", isOver), acknowledged]);',
    to: 'void Promise.race([this.#decide("aborted", isOver), acknowledged]);',
  },
  {
    title: "a target that lost its memory does not say so",
    file: "migration/recover.js",
    from: 'this.#turn = this.#decide("lost");',
    to: "this.#turn = Promise.resolve();",
  },
  {
    title: "the target runs without a record",
    file: "migration/target.js",
    from: 'await this.#write("owned");',
    to: ";",
  },
  {
    title: "the machine is handed over to a target that is not ready",
    file: "migration/source.js",
    from: 'if (verdict === "ready" && (await commit.handOver())) {',
    to: "if (await commit.handOver()) {",
  },
  {
    title: "a link that is lost behind the commit counts as a machine that is lost",
    file: "migration/source-commit.js",
    from: 'if (word === "done" || word === "lost") {',
    to: 'if (word === "closed") return "lost"; if (word === "done" || word === "lost") {',
  },
  {
    title: "a prepared target discards when the link is over",
    file: "migration/target.js",
    from: 'if (this.#standing === "prepared" || this.#standing === "owned")',
    to: 'if (this.#standing === "prepared") this.#standing = "receiving"; if (this.#standing === "owned")',
  },
  {
    title: "a page of each round is forgotten",
    file: "migration/source-rounds.js",
    from: "gather(capture.root.pages()) : taken;",
    to: "gather(capture.root.pages()) : taken.subarray(1);",
  },
  {
    title: "a page that was sent once is not sent again",
    file: "migration/source-memory.js",
    from: "else if (this.hashes.is(page, hashes, hash))",
    to: "else if (this.hashes.has(page))",
  },
  {
    title: "deltas are made against the wrong page",
    file: "migration/source-memory.js",
    from: "const old = base.page(page);",
    to: "const old = base.page(page ^ 1);",
  },
  {
    title: "the machine arrives with another identity",
    file: "migration/target.js",
    from: '{ identity: "same" }',
    to: '{ identity: "new" }',
  },
  {
    title: "records are not synced",
    file: "migration/journal.js",
    from: "        await this.#file.sync();\n        this.#records.push(record);",
    to: "        this.#records.push(record);",
  },
  {
    title: "an abort is acknowledged and not done",
    file: "migration/target.js",
    from: '            this.#standing = "receiving";\n            this.#last = null;',
    to: "            this.#last = null;",
  },
  {
    title: "the source's machine goes on when the target runs",
    file: "migration/source.js",
    from: 'machine.terminate("migrated");',
    to: "machine.mover.goOn();",
  },
  {
    title: "the guest does not stand still",
    file: "migration/source.js",
    from: "await this.machine.mover.standStill();",
    to: "",
  },
  {
    title: "the guest stays where it stood when it remains",
    file: "machine/mover.js",
    from: "        this.goOn();\n        this.#owner.loop.remain(reason);",
    to: "        this.#owner.loop.remain(reason);",
  },
  {
    title: "a target that was aborted is not told",
    file: "migration/source.js",
    from: "void commit.untilHeard().then(() => this.#forget(journal));",
    to: "void this.#forget(journal);",
  },
  {
    title: "a machine arrives paused",
    file: "migration/target.js",
    from: '"paused" : "running"',
    to: '"paused" : "paused"',
  },
  {
    title: "a machine that was taken back stands still",
    file: "migration/source.js",
    from: "if (isHere)\n            machine.mover.remain(reason);",
    to: "",
  },
  {
    title: "a journal that is found is read as far as its first record",
    file: "migration/journal.js",
    from: "                records.push(record);",
    to: "                if (records.length === 0) records.push(record);",
  },
  {
    title: "the target is ready before that is written down",
    file: "migration/target.js",
    from: '        await this.#write("prepared");\n        this.#log.enter("transfer-active");\n        await this.#say("ready");',
    to: '        await this.#say("ready");\n        await this.#write("prepared");',
  },
];

const PROGRAM = `
import { runCampaign } from "./test/migration/campaign.js";
try {
  await runCampaign(1, ${RUNS});
  console.log("nothing was found");
} catch (error) {
  console.log("found: " + error.message);
}
process.exit(0);
`;

for (const { title, file, from, to } of BUGS) {
  test(title, () => {
    const folder = mkdtempSync(join(DIST, "planted-"));
    try {
      for (const part of ["src", "assembly", "test", "pages.wasm", "machine.wasm"]) {
        cpSync(join(DIST, part), join(folder, part), { recursive: true });
      }
      const path = join(folder, "src", file);
      const text = readFileSync(path, "utf8");
      const places = text.split(from).length - 1;
      assert.is(places, 1, `${file} has the place ${places} times`);
      writeFileSync(
        path,
        text.replace(from, () => to),
      );
      const program = join(folder, "campaign.mjs");
      writeFileSync(program, PROGRAM);
      const { stdout } = spawnSync(process.execPath, [program], {
        encoding: "utf8",
        timeout: 600_000,
      });
      // a program that does not even end its own way is one that was found, too
      assert.not.match(stdout, /nothing was found/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

test.run();
