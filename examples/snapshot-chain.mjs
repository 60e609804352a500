// Boots Debian, takes a full snapshot and a chain of incremental ones, each after writing a file; goes back to every
// level and reads the file; folds the chain into one snapshot; and lets another process go on from there.
//
//   npx rivulet guest prepare debian && node examples/snapshot-chain.mjs [LEVELS]     4 by default, 31 at most
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  findGuest,
  Host,
  nodePlatform,
  openStoreDirectory,
  SnapshotManager,
  SnapshotStore,
} from "rivulet";

const FILE = "/root/level";
const platform = nodePlatform();
const openStore = async (folder) =>
  SnapshotStore.open(await openStoreDirectory(folder), { platform });
const say = async (machine, command) => {
  const { status, stdout } = await machine.exec(command);
  if (status !== 0) throw new Error(`${command}: status ${status}`);
  return new TextDecoder().decode(stdout).trim();
};

/** The other process: the machine of the last snapshot goes on. */
async function goOn(folder) {
  const store = await openStore(folder);
  const host = await Host.create();
  const manager = new SnapshotManager(store, { host });
  const [snapshot] = manager.list();
  const { machine } = await manager.restore(snapshot.id, { lazy: true });
  machine.resume();
  const run = machine.run();
  console.log(
    `in a new process: level ${await say(machine, `cat ${FILE}`)}, ${await say(machine, "uname -sm")}`,
  );
  console.log(await machine.powerdown());
  await run;
  machine.dispose();
  await manager.close();
  await store.close();
  host.dispose();
}

async function chain(levels) {
  const guest = findGuest("debian");
  if (guest === null) {
    console.log("no Debian guest here: `npx rivulet guest prepare debian` fetches it");
    return;
  }
  const { kernel, initrd, append } = guest.manifest;
  const read = (name) => readFileSync(join(guest.folder, name));
  const folder = mkdtempSync(join(tmpdir(), "rivulet-chain-"));
  try {
    const store = await openStore(folder);
    const host = await Host.create();
    const manager = new SnapshotManager(store, { host });
    const files = { kernel: read(kernel), initrd: read(initrd), append };
    const machine = host.createMachine({
      name: "debian",
      memoryBytes: "128M",
      agent: true,
      ...files,
    });
    await machine.boot();
    await machine.ready();
    void machine.run(); // it runs on while snapshots are written
    const made = [];
    for (let level = 0; level <= levels; level++) {
      await say(machine, `echo ${level} > ${FILE}`);
      const { type, pages, pauseMs } = await manager.create(machine, { name: `level-${level}` });
      console.log(
        `level ${level}: ${type}, ${pages} pages, the guest stood still for ${pauseMs.toFixed(2)} ms`,
      );
      made.push(manager.find(`level-${level}`));
    }
    const check = async () => {
      const found = await Promise.all(manager.list().map(({ id }) => manager.verify(id)));
      const problems = found.flatMap((one) => one.problems);
      if (problems.length > 0) throw new Error(problems.join("; "));
      console.log(`verified: ${found.length} snapshots`);
    };
    await check();
    for (const [level, { id }] of made.entries()) {
      if (level % 2 === 1) manager.forgetFrames(); // every other one from the files
      await manager.revert(machine, id);
      const seen = await say(machine, `cat ${FILE}`);
      if (seen !== `${level}`) throw new Error(`level ${level} has ${seen}`);
    }
    console.log(`went back to each of ${made.length} levels, and found its file`);
    const { type, pages } = await manager.merge(made[levels].id, { isAll: true });
    console.log(`merged: ${manager.list().length} snapshot, ${type}, ${pages} pages`);
    await check();
    await manager.close();
    host.dispose();
    await store.close();
    const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--go-on", folder], {
      stdio: "inherit",
    });
    process.exitCode = child.status ?? 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [first, second] = process.argv.slice(2);
if (first === "--help" || first === "-h") {
  console.log(
    "node examples/snapshot-chain.mjs [LEVELS]: a chain of snapshots of Debian; 4 levels, or 1 to 31",
  );
} else if (first === "--go-on") await goOn(second);
else {
  const levels = Number(first ?? 4);
  if (!Number.isInteger(levels) || levels < 1 || levels > 31) {
    console.error(`levels ${first}: accepted are 1 to 31`);
    process.exit(2);
  }
  await chain(levels);
}
