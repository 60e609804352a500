// Law 0: the same machine, run in one piece and in many, is the same machine. Two machines share one host.
//
//   node examples/replay.mjs
import { builtinGuest, Host } from "rivulet";

const INSTRUCTIONS = 3_000_000;

const host = await Host.create();
const make = async (name) => {
  const machine = host.createMachine({
    name,
    kernel: builtinGuest(),
    memoryBytes: "16M",
    seed: 42,
  });
  await machine.boot();
  machine.console.write("mem 8\nprimes 20000\n");
  return machine;
};
const whole = await make("whole");
const pieces = await make("pieces");
await whole.run(INSTRUCTIONS);
for (let left = INSTRUCTIONS, piece = 1; left > 0; piece = piece * 3 + 1) {
  const count = Math.min(left, piece);
  await pieces.run(count);
  left -= count;
}
console.log(`whole  ${whole.stateDigest()}`);
console.log(`pieces ${pieces.stateDigest()}`);
const isSame = whole.stateDigest() === pieces.stateDigest();
host.dispose();
process.exitCode = isSame ? 0 : 1;
