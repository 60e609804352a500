// A device from outside: registered with the host, placed in the machine's map, driven by a guest
// program, and put through the published contract.
//
//   node examples/custom-device.mjs
import { deviceProperties, Host, SectionReader, SectionWriter } from "rivulet";
import { Assembler, elf64 } from "rivulet/asm";
import { deviceContract } from "rivulet/contract";

/** An adder: writes to offset 0 are added up; the sum is read at 4, modulo 2^32. */
class Adder {
  kind = "adder";
  bytes = 8;
  #sum = 0;

  constructor({ name, base, irq }) {
    Object.assign(this, { name, base, irq });
  }
  attach() {}
  read(offset, size) {
    return offset === 4 && size === 4 ? this.#sum : 0;
  }
  write(offset, _size, value) {
    if (offset === 0) this.#sum = (this.#sum + value) >>> 0;
  }
  alarm() {}
  retry() {}
  reset() {
    this.#sum = 0;
  }
  node() {
    const unit = this.base.toString(16);
    return { name: `adder@${unit}`, properties: deviceProperties("example,adder", this) };
  }
  save() {
    const writer = new SectionWriter("ADDR");
    writer.u32(this.#sum);
    return writer.finish(this.name, 1);
  }
  restore(section) {
    const reader = new SectionReader(section, this.name, "ADDR", 1);
    const sum = reader.u32();
    reader.end();
    this.#sum = sum;
  }
}

const place = { name: "adder0", base: 0x11000000, irq: 13 };
for (const { title, check } of deviceContract("adder", () => new Adder(place))) {
  check();
  console.log(`contract: ${title}`);
}

// The guest: adds 40 and 2, and powers off with the sum as its exit code.
const a = new Assembler();
a.li("t0", place.base);
for (const number of [40, 2]) {
  a.li("t1", number);
  a.sw("t1", "t0");
}
a.lw("t1", "t0", 4);
a.slli("t1", "t1", 16);
a.li("t2", 0x3333); // the finisher's "failure with a code"
a.or("t1", "t1", "t2");
a.li("t0", 0x100000);
a.sw("t1", "t0");
const { base, bytes } = a.assemble();

const host = await Host.create();
host.registerDevice("adder", (given) => new Adder(given));
const machine = host.createMachine({
  kernel: elf64({ entry: base, segments: [{ address: base, bytes }] }),
  memoryBytes: "16M",
  devices: [{ kind: "adder" }],
});
await machine.boot();
const result = await machine.run(1000);
console.log(`the guest says ${result.code}`);
host.dispose();
process.exitCode = result.code === 42 ? 0 : 1;
