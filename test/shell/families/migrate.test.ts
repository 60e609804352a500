/**
 * `migrate` and `receive`: machines that go from one shell to another and back, with their disks;
 * what is refused with what is accepted; two processes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type ByteLink,
  nodeLinks,
  type SourceSession,
  type Status,
  VmError,
} from "../../../src/node.ts";
import type { World } from "../../../src/shell/world.ts";
import { CLI, rivulet } from "../../helpers/cli.ts";
import { type OpenShell, openShell } from "./shell.ts";

const test = suite("shell/families/migrate");
const MEBIBYTE = 1 << 20;
const CREATE = "vm create web --guest builtin --memory 16M --clock virtual";

interface Pair {
  readonly here: OpenShell;
  readonly there: OpenShell;
  readonly files: {
    readonly here: Map<string, Uint8Array>;
    readonly there: Map<string, Uint8Array>;
  };
  /** Where the other one takes machines in. */
  readonly address: string;
}

/** Two shells, a machine at its prompt in the first. */
async function withPair(work: (pair: Pair) => Promise<void>, create = "", receive = "") {
  const disk = Uint8Array.from({ length: MEBIBYTE }, (_, index) => index * 7);
  const files = { here: new Map([["/here/a.img", disk]]), there: new Map<string, Uint8Array>() };
  const [here, there] = [openShell(files.here), openShell(files.there)];
  try {
    await here.need(`${CREATE} ${create} --start; console wait web '> '`);
    const line = `migrate receive --listen tcp://127.0.0.1:0 ${receive}`;
    const address = (await there.need(line)).trim();
    await work({ here, there, files, address });
  } finally {
    await here.fleet.dispose();
    await there.fleet.dispose();
  }
}

async function refusal(shell: OpenShell, line: string): Promise<string> {
  const { status, err, out } = await shell.run(line);
  assert.is.not(status, 0, `${line}: ${out}`);
  return `${status} ${err}`;
}

test("a machine goes to another shell, answers there, and comes back", async () => {
  await withPair(async ({ here, there, address }) => {
    await here.need("console send web 'echo from here\\n'; console wait web 'from here'");
    assert.match(await here.need(`migrate start web ${address}`), /^web is at tcp:/);
    const [left] = await here.json<{ state: string }[]>("vm list");
    assert.is(left.state, "terminated");
    await there.need("console send web 'echo from there\\n'; console wait web '\nfrom there'");
    const [report] = await there.json<{ side: string; name: string }[]>("migrate history");
    assert.is(`${report.side} ${report.name}`, "target web");
    const back = (await here.need("migrate receive --listen tcp://127.0.0.1:0")).trim();
    await there.need(`migrate start web ${back}`);
    await here.need("console send web 'echo at home\\n'; console wait web '\nat home'");
    const states = await here.json<{ name: string; state: string }[]>("vm list");
    assert.equal(
      states.map(({ name, state }) => `${name} ${state}`),
      ["web running"],
    );
  });
});

test("a machine that was paused is paused where it arrives", async () => {
  await withPair(async ({ here, there, address }) => {
    await here.need(`vm pause web; migrate start web ${address} --name other`);
    const [arrived] = await there.json<{ name: string; state: string }[]>("vm list");
    assert.is(`${arrived.name} ${arrived.state}`, "other paused");
    await there.need("vm resume other; console send other 'echo on\\n'; console wait other '\non'");
  });
});

test("a carried disk goes to a new file, never over one that is there", async () => {
  const at = "--disks /disks";
  await withPair(
    async ({ here, there, files, address }) => {
      files.there.set("/disks/web-disk0.img", new Uint8Array(MEBIBYTE));
      await here.need(`migrate start web ${address}`);
      const [first] = await there.json<{ name: string }[]>("vm list");
      assert.is(first.name, "web");
      assert.equal(files.there.get("/disks/web-disk0.2.img"), files.here.get("/here/a.img"));
      assert.equal(files.there.get("/disks/web-disk0.img"), new Uint8Array(MEBIBYTE));
    },
    "--disk a.img",
    at,
  );
  await withPair(
    async ({ here, files, address }) => {
      const kept = new Uint8Array(MEBIBYTE).fill(1);
      files.there.set("/here/mine.img", kept.slice());
      assert.match(
        await refusal(here, `migrate start web ${address}`),
        /mine\.img, which is there/,
      );
      assert.equal(files.there.get("/here/mine.img"), kept);
      assert.match(await here.need("vm list"), /web +running/);
    },
    "--disk a.img",
    "--disk mine.img",
  );
});

test("a file made for a machine that does not come is gone", async () => {
  await withPair(
    async ({ here, files, address }) => {
      await here.need(`migrate start web ${address} --background --bandwidth 4096`);
      while (!files.there.has("/disks/web-disk0.img")) await here.world.breathe();
      await here.need("migrate cancel web");
      while (files.there.has("/disks/web-disk0.img")) await here.world.breathe();
      await here.need("console send web 'echo on\\n'; console wait web '\non'");
    },
    "--disk a.img",
    "--disks /disks",
  );
});

test("a shared disk has to be there, and of the same size", async () => {
  await withPair(async ({ here, address }) => {
    const line = `migrate start web ${address} --disks shared`;
    assert.match(await refusal(here, line), /disk 0 .*is shared, and cannot be opened here/);
  }, "--disk a.img");
});

test("a name that is taken is refused by the other end, and the machine stays", async () => {
  await withPair(async ({ here, there, address }) => {
    await there.need(CREATE);
    assert.match(await refusal(here, `migrate start web ${address}`), /a machine is called so/);
    await here.need("console send web 'echo on\\n'; console wait web '\non'");
    await here.need(`migrate start web ${address} --name web2`);
  });
});

test("figures change while a migration goes on", async () => {
  await withPair(async ({ here, there, address }) => {
    await here.need(`migrate start web ${address} --background --bandwidth 4096`);
    await here.need("migrate pause web");
    assert.ok((await here.json<{ isPaused: boolean }>("migrate info web")).isPaused);
    await here.need("migrate resume web; migrate set-downtime web 50ms");
    await here.need("migrate set-policy web cancel --timeout 1h; migrate set-bandwidth web 1M");
    const info = await here.json<Record<string, unknown>>("migrate info web");
    assert.is(info.downtimeLimitMs, 50);
    assert.is(info.bandwidth, MEBIBYTE);
    assert.is(info.policy, "cancel");
    await here.need("migrate watch web");
    await there.need("console send web 'echo on\\n'; console wait web '\non'");
  });
});

test("what cannot be is said with what can", async () => {
  await withPair(async ({ here, there, address }) => {
    const none = /migration "web": there is none; `migrate start` begins one/;
    assert.match(await refusal(here, "migrate status web"), none);
    assert.match(await refusal(here, "migrate start web nowhere"), /"nowhere"; accepted are tcp:/);
    const gone = await refusal(here, "migrate start web tcp://127.0.0.1:1");
    assert.match(gone, /refused: .*127\.0\.0\.1:1/);
    assert.match(
      await refusal(here, "migrate receive --listen tcp://0.0.0.0:0"),
      /tcp:\/\/0\.0\.0\.0/,
    );
    assert.match(await refusal(here, `migrate start web ${address} --tls-ca a.img`), /all three/);
    await here.need(`migrate start web ${address}`);
    assert.match(await refusal(here, "migrate cancel web"), /is completed: it cannot be cancelled/);
    assert.match(await refusal(there, "migrate pause web"), /only the source can do that/);
    assert.match(await refusal(here, `migrate start web ${address}`), /1 web is terminated/);
    await there.need("migrate receive --stop");
    assert.match(await refusal(here, "migrate resolve nobody"), /nothing is undecided/);
  });
});

/** Links that can be cut, and nobody is dialed while they are. */
function cuttable() {
  const links: ByteLink[] = [];
  let isDown = false;
  const openLinks: World["openLinks"] = (choices) => {
    const door = nodeLinks(choices);
    return {
      listen: door.listen,
      async dial(address) {
        if (isDown) throw new VmError("io", `${address}: nobody answers`);
        const link = await door.dial(address);
        links.push(link);
        return link;
      },
    };
  };
  const cut = () => {
    isDown = true;
    for (const link of links.splice(0)) link.close();
  };
  const mend = () => {
    isDown = false;
  };
  return { openLinks, cut, mend };
}

async function until(session: SourceSession, status: Status): Promise<void> {
  for await (const now of session.updates(1)) if (now.status === status) return;
  throw new Error(`it never was ${status}: ${session.status}`);
}

test("a post-copy whose link is lost is paused, and recovered", async () => {
  const { openLinks, cut, mend } = cuttable();
  const here = openShell(new Map(), { openLinks });
  const there = openShell(new Map());
  try {
    await here.need(`${CREATE} --start; console wait web '> '`);
    here.fleet.get("web").machine.share.capPercent = 10;
    await here.need("console send web 'primes 4000000\\nprimes 4000000\\n'");
    const address = (await there.need("migrate receive --listen tcp://127.0.0.1:0")).trim();
    await here.need(`migrate start web ${address} --background --bandwidth 4096`);
    const session = here.fleet.migrations.find("web") as SourceSession;
    session.bandwidth.limit = null;
    session.bandwidth.hold();
    while (session.phase === "init") await here.world.breathe();
    session.bandwidth.goOn();
    while (session.progress.ram.dirtySyncCount === 0) await here.world.breathe();
    session.bandwidth.hold();
    while (session.progress.ram.remaining < 600 * 4096) await here.world.breathe();
    await here.need("migrate postcopy web; migrate set-bandwidth web 64K");
    session.bandwidth.goOn();
    await until(session, "postcopy-active");
    cut();
    session.bandwidth.limit = null;
    await until(session, "postcopy-paused");
    assert.match(await here.need("migrate status web"), /status +postcopy-paused/);
    assert.match(await refusal(here, "migrate recover web"), /nobody answers/);
    const careless = await refusal(here, "migrate recover web --abandon-target");
    assert.match(careless, /^2 .*needs --target-is-dead/);
    assert.match(await refusal(there, "vm fork web"), /still at the host that it came from/);
    mend();
    await here.need("migrate recover web; migrate watch web");
    await there.need("console send web 'echo on\\n'; console wait web '\non' --timeout 60s");
    const log = await there.need("console log web");
    assert.match(log, /283146 primes up to 4000000/);
  } finally {
    await here.fleet.dispose();
    await there.fleet.dispose();
  }
});

test("a local move keeps console and name", async () => {
  await withPair(async ({ here }) => {
    await here.need("migrate local web; console send web 'echo on\\n'; console wait web '\non'");
    await here.need("migrate local web; console send web 'echo again\\n'");
    await here.need("console wait web '\nagain'; vm pause web; vm resume web");
  });
});

test("a copy that moves and one that stays are the same", async () => {
  await withPair(async ({ here }) => {
    await here.need("vm pause web; console send web 'primes 4000000\\nprimes 4000000\\n'");
    const proof = await here.json<{ moves: number; differences: number }>(
      "migrate prove web --points 12 --seed 7 --stride 10000000",
    );
    assert.is(proof.moves, 12);
    assert.is(proof.differences, 0);
  });
});

test("receive --once: the address comes first on stderr, the guest's status is the exit status", async () => {
  const args = [CLI, "receive", "--listen", "tcp://127.0.0.1:0", "--once"];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
  try {
    let out = "";
    child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()));
    const [first] = (await once(child.stderr, "data")) as [Buffer];
    const address = first.toString().split("\n")[0];
    const script = `
      ${CREATE} --start
      console wait web '> '
      console send web 'echo before\\n'
      console wait web '\nbefore'
      migrate start web ${address}
    `.replaceAll(/^ +/gm, "");
    const sent = await rivulet(["-f", "-"], { input: script });
    assert.is(sent.status, 0, sent.stderr);
    const closed = once(child, "close");
    child.stdin.write("echo behind\npoweroff 7\n");
    const [status] = (await closed) as [number];
    assert.is(status, 7);
    assert.match(out, /\nbehind/);
    assert.not.match(out, /\nbefore/);
  } finally {
    child.kill("SIGKILL");
  }
});

test.run();
