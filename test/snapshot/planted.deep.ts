/**
 * planted: bugs in the store, planted one at a time in a copy of what was built; some suite must
 * fail because of each.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("snapshot/planted (deep)");
const DIST = fileURLToPath(new URL("../..", import.meta.url));

/** A bug: a piece of a built file, and what it becomes. */
interface Bug {
  readonly title: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Suites of which one must fail; by default store-crash. */
  readonly suites?: readonly string[];
}

const JOURNAL = "journal.js";
const WRITER = "writer.js";
const SEGMENT_WRITER = "segment-writer.js";
const SEGMENT = "segment.js";
const STATE = "state.js";
const CHANGE = "change.js";
const COMPACT = "compact.js";
const COLUMNS = "page-columns.js";
const MODEL = ["store"];
const DAMAGE = ["store-damage"];
const TMP = ["`$", "{path}.tmp`"].join("");
const REMOVE_PLAN = ["    await directory.remove(`$", "{SNAPSHOTS}/$", "{PLAN}`);"].join("");

const BUGS: readonly Bug[] = [
  {
    title: "a manifest is not synced before it gets its name",
    file: JOURNAL,
    from: "        await file.write(0, bytes);\n        await file.sync();",
    to: "        await file.write(0, bytes);",
  },
  {
    title: "the folder is not synced after a manifest got its name",
    file: JOURNAL,
    from: ", path);\n    await directory.sync(folder);",
    to: ", path);",
  },
  {
    title: "a manifest does not wait for what it names",
    file: JOURNAL,
    from: "    await ready;\n",
    to: "",
  },
  {
    title: "a manifest is written in place",
    file: JOURNAL,
    from: `${TMP}, bytes);\n    await ready;\n    onDoubt();\n    await directory.rename(${TMP}, path);`,
    to: "path, bytes);",
  },
  {
    title: "the removal of a single snapshot is not synced",
    file: JOURNAL,
    from: "        await directory.remove(pathOf(remove[0], MANIFEST_ENDING));\n        await directory.sync(SNAPSHOTS);",
    to: "        await directory.remove(pathOf(remove[0], MANIFEST_ENDING));",
  },
  {
    title: "the next manifests are not named durably before the plan",
    file: JOURNAL,
    from: "pathOf(id, NEXT_ENDING), bytes);\n    await directory.sync(SNAPSHOTS);",
    to: "pathOf(id, NEXT_ENDING), bytes);",
  },
  {
    title: "the plan is carried out without being durable",
    file: JOURNAL,
    from: "    await putFile(directory, SNAPSHOTS, PLAN, file, turn);",
    to: "    onDoubt();",
  },
  {
    title: "the plan goes before what it says is durable",
    file: JOURNAL,
    from: `    await directory.sync(SNAPSHOTS);\n${REMOVE_PLAN}`,
    to: REMOVE_PLAN,
  },
  {
    title: "a plan that was found is not carried out",
    file: JOURNAL,
    from: "        await carryOut(directory, decodePlan(file));",
    to: "        decodePlan(file);",
  },
  {
    title: "what was not finished is left",
    file: JOURNAL,
    from: "/\\.(tmp|next)$/",
    to: "/\\.(never)$/",
  },
  {
    title: "a segment is not synced",
    file: SEGMENT_WRITER,
    from: "const synced = this.#options.file.sync().finally(",
    to: "const synced = Promise.resolve().finally(",
  },
  {
    title: "frozen pages that were released count",
    file: WRITER,
    from: "if (this.#source?.isReleased !== true)",
    to: "if (this.#source?.isReleased !== null)",
    suites: MODEL,
  },
  {
    title: "a run of frozen pages goes on over a gap",
    file: SEGMENT_WRITER,
    from: "at !== this.#runAt + this.#runBytes || ",
    to: "",
    suites: MODEL,
  },
  {
    title: "what was copied is written behind what is frozen",
    file: SEGMENT_WRITER,
    from: "if (this.#runBytes > 0)\n            this.#closePiece();",
    to: "",
    suites: MODEL,
  },
  {
    title: "the folder of the segments is not synced before the manifest",
    file: WRITER,
    from: "const named = this.#state.directory.sync(SEGMENTS);",
    to: "const named = this.#state.directory.list(SEGMENTS);",
  },
  {
    title: "the folder of the segments is not synced by compact",
    file: COMPACT,
    from: "await state.directory.sync(SEGMENTS);",
    to: "state.directory.list(SEGMENTS);",
  },
  {
    title: "compact removes old segments before the manifests are durable",
    file: COMPACT,
    from: "        const write = [];\n",
    to: "        const write = [];\n        for (const { number } of candidates) await state.directory.remove(state.segments[number].path);\n",
  },
  {
    title: "a segment is removed before the manifest that drops it",
    file: STATE,
    from: "            await changeManifests(",
    to: "            for (const id of remove) { for (const number of segmentsOf(this.manifests.get(id)?.regions ?? new Map())) if (write.every((one) => !segmentsOf(one.regions).includes(number))) await this.directory.remove(this.segments[number].path); }\n            await changeManifests(",
  },
  {
    title: "segments that nothing names are never removed",
    file: "store.js",
    from: "        if (!known.has(name))",
    to: "        if (name === '')",
  },
  {
    title: "a child is not given what its parent had",
    file: CHANGE,
    from: "        regions = overlayRegions(below.regions, regions, below.parent === null);",
    to: "",
    suites: MODEL,
  },
  {
    title: "the other children of a parent that is merged down are forgotten",
    file: CHANGE,
    from: "            write.push(rebased(state, manifest, goes));\n        }\n    }\n    await state.change(write, [id]);",
    to: "        }\n    }\n    await state.change(write, [id]);",
    suites: MODEL,
  },
  {
    title: "zeros of a child do not hide the parent's page",
    file: COLUMNS,
    from: "        const from = atTop >= 0 ? top : base;",
    to: "        if (atTop >= 0 && atBase >= 0 && top.segments[atTop] === NOWHERE) atTop = -1;\n        const from = atTop >= 0 ? top : base;",
    suites: MODEL,
  },
  {
    title: "a reader does not pin what it reads",
    file: "reader.js",
    from: "        state.pin(this.#pinned);",
    to: "",
    suites: MODEL,
  },
  {
    title: "a writer does not pin what it points to",
    file: WRITER,
    from: "            this.#state.pin([there.segment]);",
    to: "                this.#pinned.delete(there.segment);",
    suites: MODEL,
  },
  {
    title: "a page is given out unchecked",
    file: SEGMENT,
    from: "    const isThere = file.read(offset, target) === PAGE_BYTES;\n    if (!isThere || !table.hasHash(slot, hash.hash(target)))",
    to: "    const isThere = file.read(offset, target) === PAGE_BYTES;\n    if (!isThere)",
    suites: DAMAGE,
  },
  {
    title: "the bytes of a block are not checked",
    file: SEGMENT,
    from: "    const isAsWritten = hash.checkOf(block) === table.words[slot * SLOT_WORDS + 5];",
    to: "    const isAsWritten = true;",
    suites: DAMAGE,
  },
  {
    title: "a segment's table is not checked",
    file: SEGMENT,
    from: "    if (!sameBytes(digestOf(head, table, tail.subarray(0, 32)), facts.digest))",
    to: "    if (false)",
    suites: DAMAGE,
  },
  {
    title: "a container's digest is not checked",
    file: "container.js",
    from: "    if (!sameBytes(digestOf(file.subarray(0, end)), file.subarray(end)))",
    to: "    if (false)",
    suites: DAMAGE,
  },
  {
    title: "a child takes any parent of the right id",
    file: STATE,
    from: "content !== null && manifest.content !== content",
    to: "false",
    suites: DAMAGE,
  },
  {
    title: "segments go while a manifest cannot be read",
    file: STATE,
    from: "this.unreadable.length > 0 || this.isInDoubt",
    to: "this.isInDoubt",
    suites: DAMAGE,
  },
  {
    title: "a change that failed half way is forgotten",
    file: STATE,
    from: "            if (isInDoubt)\n                this.#doubt = { error };",
    to: "",
  },
];

/** True when the suite fails; it is ended as soon as that is plain. */
function fails(folder: string, name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const path = join(folder, "test/snapshot", `${name}.test.js`);
    const child = spawn(process.execPath, [path], { stdio: ["ignore", "pipe", "ignore"] });
    let hasFailed = false;
    child.stdout.on("data", (bytes: Buffer) => {
      if (!bytes.toString("utf8").includes("✘")) return;
      hasFailed = true;
      child.kill("SIGKILL");
    });
    child.once("error", reject);
    child.once("close", (code) => resolve(hasFailed || code !== 0));
  });
}

for (const { title, file, from, to, suites = ["store-crash"] } of BUGS) {
  test(title, async () => {
    const folder = mkdtempSync(join(DIST, "planted-"));
    try {
      for (const part of ["src", "assembly", "test", "pages.wasm", "machine.wasm"]) {
        cpSync(join(DIST, part), join(folder, part), { recursive: true });
      }
      const path = join(folder, "src/snapshot/store", file);
      const text = readFileSync(path, "utf8");
      assert.is(
        text.split(from).length,
        2,
        `${file} has the place ${text.split(from).length - 1} times`,
      );
      writeFileSync(
        path,
        text.replace(from, () => to),
      );
      for (const name of suites) if (await fails(folder, name)) return;
      throw new Error(`nobody noticed: ${suites.join(", ")} passed`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

test.run();
