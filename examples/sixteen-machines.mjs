// Sixteen machines on one host: each computes, they take turns in slices, and share one pool of
// frames.
//
//   node examples/sixteen-machines.mjs
import { builtinGuest, Host } from "rivulet";

const MACHINES = 16;

const host = await Host.create({ machinesMax: MACHINES });
const kernel = builtinGuest();
const machines = Array.from({ length: MACHINES }, (_, index) =>
  host.createMachine({ name: `m${index}`, kernel, memoryBytes: "16M", seed: index }),
);
const texts = await Promise.all(
  machines.map(async (machine, index) => {
    let text = "";
    machine.console.onOutput((bytes) => {
      text += new TextDecoder().decode(bytes);
    });
    await machine.boot();
    machine.console.write(`primes ${1000 * (index + 1)}\npoweroff ${index}\n`);
    const result = await machine.run();
    if (result.code !== index) {
      throw new Error(`${machine.name} ended with ${JSON.stringify(result)}`);
    }
    return text;
  }),
);
for (const [index, machine] of machines.entries()) {
  const { instructions, framesUsed } = machine.stats();
  const answer = /\d+ primes[^\r\n]*/.exec(texts[index])?.[0] ?? texts[index];
  const memory = `${(framesUsed * 4).toString().padStart(6)} KiB`;
  console.log(
    `${machine.name.padEnd(4)}${instructions.toString().padStart(12)}${memory}  ${answer}`,
  );
}
const { framesTotal, framesFree } = host.stats();
console.log(`${framesTotal - framesFree} of ${framesTotal} frames in use`);
host.dispose();
