/**
 * The packed package in an app of five lines, bundled by Vite: it boots in Chromium, in the window
 * and in a worker, and every machine there has the digest that it has in Node.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { build } from "vite";
import type * as Rivulet from "../../src/browser.ts";
import {
  builtinGuest,
  DEBIAN_GUEST_NAME,
  findGuest,
  Host,
  type MachineConfig,
  PageCodec,
  type PreparedGuest,
} from "../../src/node.ts";
import { CHROMIUM, DEBIAN_GUEST, testNeeding } from "../helpers/need.ts";
import { type OpenPage, openPage, type Served, serveFolder } from "./chromium.ts";

const test = suite("browser/package");
const folder = mkdtempSync(join(tmpdir(), "rivulet-app-"));
const INSTRUCTIONS = 60_000_000;
/** Keeps the built-in guest at work for longer than INSTRUCTIONS. */
const WORK = "mem 8\nprimes 5000000\n";

/** What the app leaves for the tests. */
declare const window: Window & {
  readonly rivulet: typeof Rivulet;
  readonly RivuletWorker: new () => Worker;
  readonly isReady?: boolean;
};

const APP = {
  "index.html": `<!doctype html><title>app</title><link rel="icon" href="data:," />
<body><script type="module" src="./main.js"></script>
`,
  "main.js": `import * as rivulet from "rivulet/browser";
import RivuletWorker from "rivulet/browser-worker?worker";
const machine = await rivulet.RemoteMachine.create({ kernel: rivulet.builtinGuest() });
machine.console.onOutput((bytes) => document.body.append(new TextDecoder().decode(bytes)));
machine.console.write("info\\npoweroff\\n");
await machine.boot();
document.title = (await machine.run()).kind;
Object.assign(window, { rivulet, RivuletWorker, isReady: true });
`,
};

/** An empty project that has the packed package, and beside it what that depends on. */
function makeProject(): string {
  const project = join(folder, "app");
  const modules = join(project, "node_modules");
  mkdirSync(modules, { recursive: true });
  const pack = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const packed = JSON.parse(execFileSync("npm", pack, { encoding: "utf8" }));
  execFileSync("tar", ["xf", join(folder, packed[0].filename), "-C", modules]);
  execFileSync("mv", [join(modules, "package"), join(modules, "rivulet")]);
  const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(resolve("node_modules", name), join(modules, name));
  }
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "app", private: true }));
  for (const [name, text] of Object.entries(APP)) {
    writeFileSync(join(project, name), text);
  }
  return project;
}

let served: Served | null = null;
let open: OpenPage | null = null;

/** The built app in a page, its machine's run over; made for the first test that needs it. */
async function visit(): Promise<OpenPage> {
  if (served === null) {
    const project = makeProject();
    // Vite's own defaults.
    await build({ root: project, configFile: false, logLevel: "warn" });
    const files = findGuest(DEBIAN_GUEST_NAME)?.folder ?? "";
    served = await serveFolder(join(project, "dist"), {
      "/elsewhere/core.wasm": resolve("dist/machine.wasm"),
      "/vmlinux": join(files, "vmlinux"),
      "/initrd.gz": join(files, "initrd.gz"),
    });
  }
  open ??= await openPage();
  open.complaints.length = 0;
  await open.page.goto(served.url);
  await open.page.waitForFunction(() => window.isReady);
  return open;
}

test.after(async () => {
  await open?.browser.close();
  await served?.stop();
  rmSync(folder, { recursive: true });
});

/** The digest of a machine after INSTRUCTIONS, in Node. */
async function digestHere(config: MachineConfig, input: string): Promise<string> {
  const host = await Host.create();
  try {
    const machine = host.createMachine(config);
    machine.console.write(input);
    await machine.boot();
    assert.equal(await machine.run(INSTRUCTIONS), { kind: "budget" });
    return machine.stateDigest();
  } finally {
    host.dispose();
  }
}

testNeeding(test, [CHROMIUM], "an app of a few lines, bundled by Vite, boots a guest", async () => {
  const { page, complaints } = await visit();
  assert.is(await page.title(), "poweroff");
  assert.match((await page.textContent("body")) ?? "", /isa: rv64imafdc/);
  assert.equal(complaints, []);
});

testNeeding(
  test,
  [CHROMIUM],
  "the built-in guest's digest is Node's, in both threads",
  async () => {
    const { page, complaints } = await visit();
    const here = await digestHere({ kernel: builtinGuest(), memoryBytes: "64M", seed: 9 }, WORK);
    const there = await page.evaluate(
      async ([count, input]) => {
        const { builtinGuest, Host, RemoteMachine } = window.rivulet;
        const config = { kernel: builtinGuest(), memoryBytes: "64M", seed: 9 };
        const host = await Host.create();
        const inWindow = host.createMachine(config);
        const inWorker = await RemoteMachine.create(config);
        const digests: string[] = [];
        for (const machine of [inWindow, inWorker]) {
          machine.console.write(input);
          await machine.boot();
          await machine.run(count);
          digests.push(await machine.stateDigest());
        }
        host.dispose();
        inWorker.dispose();
        return digests;
      },
      [INSTRUCTIONS, WORK] as const,
    );
    assert.equal(there, [here, here]);
    assert.equal(complaints, []);
  },
);

testNeeding(test, [CHROMIUM, DEBIAN_GUEST], "Debian's digest on two harts is Node's", async () => {
  const { page, complaints } = await visit();
  const { folder: files, manifest } = findGuest(DEBIAN_GUEST_NAME) as PreparedGuest;
  const [kernel, initrd] = await Promise.all(
    [manifest.kernel, manifest.initrd].map((name) => readFile(join(files, name))),
  );
  const config = { append: manifest.append, memoryBytes: "256M", harts: 2, seed: 5 };
  const here = await digestHere({ ...config, kernel, initrd }, "");
  const there = await page.evaluate(
    async ([rest, count]) => {
      const [kernel, initrd] = await Promise.all(
        ["/vmlinux", "/initrd.gz"].map(async (url) => (await fetch(url)).bytes()),
      );
      const machine = await window.rivulet.RemoteMachine.create({ ...rest, kernel, initrd });
      await machine.boot();
      await machine.run(count);
      const digest = await machine.stateDigest();
      machine.dispose();
      return digest;
    },
    [config, INSTRUCTIONS] as const,
  );
  assert.is(there, here);
  assert.equal(complaints, []);
});

testNeeding(test, [CHROMIUM], "where 4 GiB cannot be reserved, less is", async () => {
  const { page } = await visit();
  const arena = await page.evaluate(async () => {
    const Granted = WebAssembly.Memory;
    WebAssembly.Memory = class extends Granted {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if (descriptor.initial > 4096) throw new RangeError("could not allocate memory");
        super(descriptor);
      }
    };
    const { builtinGuest, Host } = window.rivulet;
    const host = await Host.create();
    const machine = host.createMachine({ kernel: builtinGuest(), memoryBytes: "64M" });
    machine.console.write("poweroff\n");
    await machine.boot();
    const { kind } = await machine.run();
    const { arenaBytes } = host.stats();
    host.dispose();
    return [kind, arenaBytes];
  });
  assert.equal(arena, ["poweroff", 256 << 20]);
});

testNeeding(test, [CHROMIUM], "a worker and a core may be given by hand", async () => {
  const { page, complaints } = await visit();
  const result = await page.evaluate(async () => {
    const { builtinGuest, RemoteMachine } = window.rivulet;
    const options = { worker: new window.RivuletWorker(), coreUrl: "elsewhere/core.wasm" };
    const machine = await RemoteMachine.create({ kernel: builtinGuest() }, options);
    machine.console.write("poweroff\n");
    await machine.boot();
    return machine.run();
  });
  assert.equal(result, { kind: "poweroff", code: 0 });
  assert.equal(complaints, []);
});

testNeeding(test, [CHROMIUM], "errors come back from the worker with their codes", async () => {
  const { page } = await visit();
  const codes = await page.evaluate(async () => {
    const { builtinGuest, RemoteMachine } = window.rivulet;
    const kernel = builtinGuest();
    const codeOf = async (work: () => Promise<unknown>) => {
      try {
        await work();
        return "nothing was wrong";
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    return [
      await codeOf(() => RemoteMachine.create({ kernel, memoryBytes: "17 apples" })),
      await codeOf(() => RemoteMachine.create({ kernel }, { coreUrl: "/none.wasm" })),
      await codeOf(() => RemoteMachine.create({ kernel }, { worker: new Worker("/none.js") })),
      await codeOf(() => RemoteMachine.create({ kernel, disks: [{ source: "/main.js" }] })),
    ];
  });
  assert.equal(codes, ["bad-config", "not-found", "io", "io"]);
});

testNeeding(test, [CHROMIUM], "a disk may be on the server or in a Blob", async () => {
  const { page } = await visit();
  const kinds = await page.evaluate(async () => {
    const { BlobBackend, openUrlDisk } = window.rivulet;
    const blob = new BlobBackend(new Blob([new Uint8Array(1024).fill(7)]));
    const target = new Uint8Array(512);
    await blob.read(512, target);
    let refusal = "";
    try {
      await openUrlDisk("/index.html");
    } catch (error) {
      refusal = (error as { code: string }).code;
    }
    return [blob.bytes, target.every((byte) => byte === 7), refusal];
  });
  // This server knows nothing of ranges, and says so by sending everything.
  assert.equal(kinds, [1024, true, "unsupported"]);
});

testNeeding(
  test,
  [CHROMIUM],
  "bitmaps and the page codec work in a window as in Node",
  async () => {
    const { page } = await visit();
    const bytes = Array.from({ length: 4096 }, (_, at) => (at * 7) & 63);
    const there = await page.evaluate(async (given) => {
      const { DirtyBitmap, PageCodec } = window.rivulet;
      const codec = await PageCodec.create();
      const block = codec.compress(Uint8Array.from(given));
      const bitmap = await DirtyBitmap.create(1 << 20);
      bitmap.markRange(4090, 12);
      const pages = [...bitmap.take()].flatMap((batch) => [...batch]);
      let refusal = "";
      try {
        await DirtyBitmap.create(1, { pagesUrl: "/none.wasm" });
      } catch (error) {
        refusal = (error as { code: string }).code;
      }
      return {
        block: [...(block ?? [])],
        hash: [...codec.hash(Uint8Array.from(given))],
        pages,
        refusal,
      };
    }, bytes);
    const codec = await PageCodec.create();
    assert.equal(there.block, [...(codec.compress(Uint8Array.from(bytes)) ?? [])]);
    assert.equal(there.hash, [...codec.hash(Uint8Array.from(bytes))]);
    assert.equal(
      there.pages,
      Array.from({ length: 12 }, (_, n) => 4090 + n),
    );
    assert.is(there.refusal, "not-found");
  },
);

test.run();
