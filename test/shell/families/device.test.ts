/**
 * `device`: what is shown of a machine's devices, and that looking changes nothing.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findNode, parseDeviceTree } from "../../../src/device/device-tree.ts";
import { type OpenShell, openShell } from "./shell.ts";

const test = suite("shell/families/device");

async function withMachine(
  work: (shell: OpenShell, files: Map<string, Uint8Array>) => Promise<void>,
) {
  const files = new Map([["/here/a.img", new Uint8Array(1 << 20)]]);
  const shell = openShell(files);
  try {
    const create = "vm create web --guest builtin --memory 16M --clock virtual --disk a.img";
    await shell.need(`${create} --start; console wait web '> '`);
    await work(shell, files);
  } finally {
    await shell.fleet.dispose();
  }
}

interface Listed {
  readonly name: string;
  readonly kind: string;
  readonly base: number;
  readonly irq: number | null;
  readonly stateVersion: number | null;
  readonly stateBytes: number | null;
}

interface Info extends Listed {
  readonly registers: readonly { readonly name: string; readonly value: string }[];
  readonly queues: readonly unknown[];
  readonly figures: Readonly<Record<string, number>>;
}

test("list names every device by address, the core's CLINT included", async () => {
  await withMachine(async (shell) => {
    const devices = await shell.json<Listed[]>("device list web");
    const names = devices.map(({ name }) => name);
    const wanted = ["finisher0", "rtc0", "genid0", "clint0", "plic0", "uart0", "virtio0"];
    assert.equal(names.slice(0, wanted.length), wanted);
    assert.equal(
      devices.map(({ base }) => base),
      devices.map(({ base }) => base).sort((a, b) => a - b),
    );
    const uart = devices.find(({ name }) => name === "uart0");
    assert.equal([uart?.base, uart?.irq, uart?.stateVersion], [0x10000000, 10, 1]);
    const text = await shell.need("device list web");
    assert.match(text, /^clint0 +clint +0x2000000 +64 KiB +core$/m);
    assert.match(text, /^virtio0 +virtio-blk +0x10001000 +4 KiB +1 +v1, \d+ bytes$/m);
  });
});

test("info shows registers, queues and figures of every device", async () => {
  await withMachine(async (shell) => {
    for (const { name } of await shell.json<Listed[]>("device list web")) {
      if (name === "clint0") continue;
      const info = await shell.json<Info>(`device info web ${name}`);
      assert.is(info.name, name);
      assert.ok(info.registers.length > 0, name);
      for (const { value } of info.registers) assert.match(value, /^0x([0-9a-f]{2})+$/);
      assert.match(await shell.need(`device info web ${name}`), new RegExp(`^name +${name}$`, "m"));
    }
    const disk = await shell.json<Info>("device info web virtio0");
    assert.is(disk.queues.length, 1);
    assert.is(disk.figures["capacityBytes"], 1 << 20);
    const uart = await shell.json<Info>("device info web uart0");
    const registers = new Map(uart.registers.map(({ name, value }) => [name, value]));
    assert.is(registers.get("LSR"), "0x60");
  });
});

test("looking changes nothing: the digest of a virtual-clock machine is the same", async () => {
  await withMachine(async (shell) => {
    await shell.need("vm pause web");
    const vm = shell.fleet.get("web");
    const digest = () => vm.between((machine) => machine.stateDigest());
    const before = await digest();
    await shell.need("device list web; device tree web");
    for (const { name } of vm.machine.devices.bus.devices) {
      await shell.need(`device info web ${name}`);
    }
    assert.is(await digest(), before);
  });
});

test("tree prints source text, and --dtb writes the same tree flattened", async () => {
  await withMachine(async (shell, files) => {
    const text = await shell.need("device tree web");
    assert.match(text, /^\/dts-v1\/;\n\n\/ \{\n\t#address-cells = <0x2>;$/m);
    assert.match(text, /^\t\tserial@10000000 \{$/m);
    assert.match(text, /^\t\t\tcompatible = "ns16550a";$/m);
    assert.match(await shell.need("device tree web --dtb web.dtb"), /^\/here\/web\.dtb: .* KiB\n$/);
    const flat = files.get("/here/web.dtb") as Uint8Array;
    const node = findNode(parseDeviceTree(flat), "/soc/virtio_mmio@10001000");
    assert.ok(node?.properties.has("reg"));
    // a1 of a machine before its first instruction is where the guest finds the tree
    await shell.need("vm destroy web --keep; vm start web --paused");
    const { view } = shell.fleet.get("web").machine;
    const handed = new Uint8Array(flat.length);
    assert.ok(view.memory.read(view.harts[0].xNumber(11), handed));
    assert.equal(handed, flat);
  });
});

test("what is not there is refused with what is", async () => {
  await withMachine(async (shell) => {
    const unknown = await shell.run("device info web gpu0");
    assert.is(unknown.status, 1);
    assert.match(unknown.err, /device "gpu0": there are finisher0, rtc0, .*uart0/);
    const core = await shell.run("device info web clint0");
    assert.match(core.err, /the core keeps it/);
    const nobody = await shell.run("device list db");
    assert.match(nobody.err, /machine "db": there is web/);
  });
});

test.run();
