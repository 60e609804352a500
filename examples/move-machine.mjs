// A machine computes in this process, moves to another one while it does, and goes on there: no digit is lost or said
// twice. The process that it leaves shows what the move took.
//
//   node examples/move-machine.mjs
import { spawn } from "node:child_process";
import { once } from "node:events";
import { builtinGuest, Host, MigrationManager, nodeLinks } from "rivulet";

const LAST = 6_000_000;
const host = await Host.create();

/** Until the guest ends: prints what it says, with who runs it in front. */
async function follow(who, machine) {
  machine.console.onOutput((bytes) =>
    process.stdout.write(`${who}: ${new TextDecoder().decode(bytes).trim()}\n`),
  );
  const result = await machine.run();
  return result;
}

if (process.argv[2] === "receive") {
  const arrived = async (machine) => {
    machine.console.write("poweroff 0\n"); // behind what it was given where it came from
    const result = await follow("there", machine);
    console.log(`there: ended with ${result.kind}, code ${result.code}`);
    host.dispose();
    process.exit(result.code);
  };
  const manager = await MigrationManager.create({
    host,
    door: nodeLinks(),
    arrive: () => ({ consoleInput: "open" }),
    arrived,
  });
  const { address } = await manager.listen("tcp://127.0.0.1:0");
  console.error(address);
} else {
  const other = spawn(process.execPath, [process.argv[1], "receive"], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  const [line] = await once(other.stderr, "data");
  const ended = once(other, "exit");
  other.stderr.pipe(process.stderr);

  const machine = host.createMachine({
    kernel: builtinGuest(),
    memoryBytes: "64M",
    name: "computer",
    consoleInput: "open",
  });
  await machine.boot();
  machine.console.write(`primes ${LAST}\n`);
  const run = follow("here", machine);

  const manager = await MigrationManager.create({ host, door: nodeLinks() });
  const session = await manager.start(machine, String(line).trim(), { downtimeLimitMs: 50 });
  const result = await session.ended;
  const { progress } = session;
  console.log(`here: ${result.kind}; ${(await run).kind}, ${machine.state}: ${machine.reason}`);
  console.log(
    `here: ${progress.ram.dirtySyncCount} rounds, ${progress.ram.normal} pages, the guest stood still for
      ${progress.downtimeMs?.toFixed(1)} ms of ${progress.totalMs.toFixed(1)} ms`.replace(
      /\s+/g,
      " ",
    ),
  );
  if (result.kind !== "completed") other.kill();
  const [code] = await ended;
  await manager.close();
  host.dispose();
  process.exitCode = result.kind === "completed" ? code : 1;
}
