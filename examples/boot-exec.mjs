// Boots Debian, asks it a few things as a program would, and switches it off.
//
//   npx rivulet guest prepare debian && node examples/boot-exec.mjs
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findGuest, Host } from "rivulet";

const guest = findGuest("debian");
if (guest === null) {
  console.log("no Debian guest here: `npx rivulet guest prepare debian` fetches it");
  process.exit();
}
const { kernel, initrd, append } = guest.manifest;
const read = (name) => readFileSync(join(guest.folder, name));
const host = await Host.create();
const machine = host.createMachine({
  kernel: read(kernel),
  initrd: read(initrd),
  append,
  agent: true,
});
await machine.boot();
const text = new TextDecoder();
for (const command of ["uname -a", ["wc", "-c"], "ls /nowhere"]) {
  const { status, stdout, stderr } = await machine.exec(command, { stdin: "twelve bytes" });
  console.log(`${command} (${status}): ${text.decode(stdout)}${text.decode(stderr)}`.trim());
}
console.log(await machine.powerdown());
host.dispose();
