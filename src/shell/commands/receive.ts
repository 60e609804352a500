/**
 * receive: `rivulet receive`: waits for machines that other processes send, and runs them.
 *
 * Used by src/shell/registry.ts.
 * Holds   the address is the first line on stderr; stdout carries the console of what arrives, and
 *         nothing else.
 */
import { z } from "zod";
import { type RunResult, VmError } from "../../index.ts";
import { type Call, CommandFailed, command } from "../command.ts";
import type { Vm } from "../vm.ts";
import { RECEIVE, receiveAt } from "./migrate-make.ts";
import { connect, statusOf } from "./run.ts";

const Received = z.object({
  machines: z.array(
    z.object({
      name: z.string(),
      ended: z.string().describe("how its run ended; migrated when it went on elsewhere"),
      code: z.number().describe("exit status that the guest asked for"),
    }),
  ),
});

type Run = z.output<typeof Received>["machines"][number];

/** Runs a machine that has arrived on this terminal until it ends, leaves, or the call is over. */
async function follow(vm: Vm, call: Call): Promise<Run> {
  const { machine } = vm;
  let left: number | null = null;
  const leave = (status: number) => {
    left ??= status;
    vm.stop();
  };
  const disconnect = await connect(machine, call, leave, {
    isReadingAhead: false,
    // pipes end: that is for the one machine of --once, not for all that may come
    isListening: call.has("once") || call.streams.isTerminal,
  });
  const abort = () => leave(call.signal.status);
  call.signal.addEventListener("abort", abort);
  if (call.signal.aborted) abort();
  try {
    const result: RunResult = left === null ? await vm.run() : { kind: "stopped" };
    await call.streams.flush();
    if (vm.isRemoved || machine.reason === "migrated") {
      return { name: vm.name, ended: "migrated", code: 0 };
    }
    const { status, text } = statusOf(result);
    if (text !== undefined) call.streams.say(`${vm.name}: ${text}\n`);
    return { name: vm.name, ended: result.kind, code: left ?? status };
  } finally {
    call.signal.removeEventListener("abort", abort);
    disconnect();
  }
}

async function run(call: Call): Promise<z.output<typeof Received>> {
  const { signal, streams } = call;
  const machines: Run[] = [];
  const underWay = new Set<Promise<void>>();
  let failed: { readonly error: unknown } | null = null;
  await new Promise<void>((resolve, reject) => {
    const isOnce = call.has("once");
    let isTaken = false;
    // the address stays open: ends that lost their link talk again there
    const check = () => {
      if (isOnce && isTaken) throw new VmError("busy", "one machine is taken in here: it has come");
      isTaken = true;
    };
    const onDiscarded = () => {
      isTaken = false;
    };
    const onArrived = (vm: Vm) => {
      streams.say(`${vm.name} has arrived\n`);
      const whole = follow(vm, call).then(
        (one) => {
          machines.push(one);
          streams.say(`${one.name}: ${one.ended}, code ${one.code}\n`);
        },
        (error) => {
          failed ??= { error };
        },
      );
      underWay.add(whole);
      void whole.then(() => {
        underWay.delete(whole);
        if (isOnce) resolve();
      });
    };
    signal.addEventListener("abort", () => resolve());
    streams.onBroken(() => resolve());
    receiveAt(call, { check, onArrived, onDiscarded }).then(
      (address) => streams.say(`${address}\n`),
      reject,
    );
  });
  await Promise.all(underWay);
  if (failed !== null) throw (failed as { error: unknown }).error;
  const code = signal.aborted ? signal.status : (machines.find((one) => one.code !== 0)?.code ?? 0);
  if (code !== 0) throw new CommandFailed(code, { machines }, "");
  return { machines };
}

/** The command. */
export const receiveCommand = command({
  family: "",
  name: "receive",
  summary: "wait for machines that move here from other processes, and run them",
  details: `
The address that it got is the first line on stderr; what arrives has its console on stdout, and
with --once its keys from stdin. \`migrate start VM ADDRESS\` sends one; with --control, commands from
elsewhere reach what has arrived, so that it can be sent back. With --once: takes one machine, and
exits with what its guest asked for. Ctrl-C ends machines and process; what is under way stays where
it comes from.`,
  parameters: [],
  options: {
    ...RECEIVE,
    once: { help: "take one machine, and exit with its guest's status" },
    control: {
      value: "unix:PATH",
      kind: "text",
      help: "serve `rivulet --connect unix:PATH` meanwhile",
    },
  },
  example: "receive --listen tcp://127.0.0.1:0 --once",
  isConsole: true,
  result: Received,
  async run(call) {
    const control = call.text("control");
    if (control === undefined) return run(call);
    const { serveControl } = await import("../control.ts");
    const server = await serveControl(control, call);
    try {
      return await run(call);
    } finally {
      await server.close(() => call.fleet.dispose());
    }
  },
  text: () => "",
});
