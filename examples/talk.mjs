// Boots the built-in guest, types a command at it, prints what it says and its exit code.
//
//   node examples/talk.mjs
import { builtinGuest, Host } from "rivulet";

const host = await Host.create();
const machine = host.createMachine({ kernel: builtinGuest(), memoryBytes: "16M" });
machine.console.onOutput((bytes) => process.stdout.write(bytes));
await machine.boot();
machine.console.write("info\nprimes 1000\npoweroff 7\n");
const result = await machine.run();
console.log(`ended: ${result.kind}, code ${result.code}`);
host.dispose();
