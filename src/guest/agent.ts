/**
 * agent: the program in a Linux guest that runs commands for the host: a static ELF of six
 * kibibytes that needs /bin/sh and Linux 5.4 or later, and nothing else of the guest.
 *
 * Owns    the guest's side of guest/agent-protocol.ts: it is started with the port as descriptor 0.
 * Used by platform/node/guest-initrd.ts, which puts it into the Debian guest; embedders put it into
 *         guests of their own.
 * Holds   every descriptor of its own closes on exec; a command gets a session of its own, so that
 *         KILL reaches all that it started. The output of a command ends with the command: what it
 *         leaves running in the background is not waited for. The agent ends with the port.
 *
 *   s0 variables │ s1 poll entries of the job at hand │ s2 the job at hand │ s3 jobs left to look at
 *   s4-s6 transfer │ s7-s9 pump │ s10 rounds of draining │ s11 the environment
 */
import { Assembler } from "../asm/assembler.ts";
import { elf64 } from "../asm/elf.ts";
import type { Reg } from "../asm/register.ts";
import {
  AGENT_ERRORS,
  AGENT_EXIT,
  AGENT_HEADER_BYTES,
  AGENT_HELLO,
  AGENT_HOLD,
  AGENT_INPUT,
  AGENT_JOBS_MAX,
  AGENT_KILL,
  AGENT_OPEN,
  AGENT_OUTPUT,
  AGENT_PAYLOAD_BYTES_MAX,
  AGENT_REFUSED,
  AGENT_RUN,
  AGENT_VERSION,
} from "./agent-protocol.ts";

/** Numbers of system calls, from Linux's asm-generic/unistd.h. */
const SYSTEM = {
  dup3: 24,
  fcntl: 25,
  openat: 56,
  close: 57,
  pipe2: 59,
  lseek: 62,
  read: 63,
  write: 64,
  ppoll: 73,
  exitGroup: 94,
  kill: 129,
  rtSigaction: 134,
  setsid: 157,
  clone: 220,
  execve: 221,
  wait4: 260,
  memfdCreate: 279,
} as const;

const EINTR = 4;
const EAGAIN = 11;
const AT_FDCWD = -100;
const O_RDWR = 2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;
const F_SETFL = 4;
const MFD_CLOEXEC = 1;
const POLLIN = 1;
/** CLONE_PIDFD, and SIGCHLD at the end. */
const CLONE_FLAGS = 0x1000 | 17;
const SIGNALS_MAX = 31;
const SIGNAL_MASK_BYTES = 8;
/** What a pipe can hold is read in as many rounds, when it was made as large as Linux lets it. */
const DRAIN_ROUNDS_MAX = 40;

const BASE = 0x10000;
const STATUS_EXEC_FAILED = 127;

// Variables, from s0. Poll entries are {fd i32, events u16, revents u16}: the port's, then three
// for each job: output, errors, the process. Jobs are {id u32, input fd i32, pid u32, unused u32}.
const POLL = 0;
const POLL_BYTES = 8;
const JOB_POLL_BYTES = 3 * POLL_BYTES;
const POLL_COUNT = 1 + 3 * AGENT_JOBS_MAX;
const JOBS = 512;
const JOB_BYTES = 16;
const [JOB_ID, JOB_INPUT, JOB_PID] = [0, 4, 8];
const PIPES = 896;
const PROCESS = 912;
const ARGUMENTS = 920;
/** Of zeros: the default action of a signal. */
const ACTION = 960;
const FRAME = 1024;
const [FRAME_TYPE, FRAME_JOB, FRAME_LENGTH] = [0, 4, 8].map((offset) => FRAME + offset);
const PAYLOAD = FRAME + AGENT_HEADER_BYTES;
const VARIABLES_BYTES = PAYLOAD + AGENT_PAYLOAD_BYTES_MAX;

/** The assembler with system calls and functions that save `ra`. */
class AgentBuilder extends Assembler {
  system(name: keyof typeof SYSTEM): void {
    this.li("a7", SYSTEM[name]);
    this.ecall();
  }

  /** A function without arguments on the stack; `body` may jump to `NAME.return`. */
  function(name: string, body: () => void): void {
    this.label(name);
    this.addi("sp", "sp", -16);
    this.sd("ra", "sp");
    body();
    this.label(`${name}.return`);
    this.ld("ra", "sp");
    this.addi("sp", "sp", 16);
    this.ret();
  }

  /** Closes the descriptor at `offset` from `base`, and forgets it; none there is no harm. */
  closeAt(base: Reg, offset: number): void {
    this.lw("a0", base, offset);
    this.system("close");
    this.li("t0", -1);
    this.sw("t0", base, offset);
  }
}

/** Descriptors 1 and 2 are taken, HELLO is said, and then it is one loop over what is ready. */
function emitLoop(a: AgentBuilder): void {
  a.label("start");
  a.la("s0", "variables");
  a.ld("t0", "sp"); // arguments
  a.addi("t0", "t0", 2);
  a.slli("t0", "t0", 3);
  a.add("s11", "sp", "t0");
  a.label("start.descriptor");
  a.li("a0", AT_FDCWD);
  a.la("a1", "null");
  a.li("a2", O_RDWR | O_CLOEXEC);
  a.system("openat");
  a.li("t0", 3);
  a.bltu("a0", "t0", "start.descriptor");

  a.mv("t0", "s0");
  a.li("t1", POLL_COUNT);
  a.li("t2", -1);
  a.li("t3", POLLIN);
  a.label("start.poll");
  a.sw("t2", "t0");
  a.sw("t3", "t0", 4);
  a.addi("t0", "t0", POLL_BYTES);
  a.addi("t1", "t1", -1);
  a.bnez("t1", "start.poll");
  a.sw("zero", "s0", POLL);
  a.li("t0", AGENT_VERSION);
  a.sw("t0", "s0", PAYLOAD);
  a.li("a0", AGENT_HELLO);
  a.li("a1", 0);
  a.li("a2", 4);
  a.call("send");

  a.label("loop");
  a.addi("a0", "s0", POLL);
  a.li("a1", POLL_COUNT);
  a.li("a2", 0);
  a.li("a3", 0);
  a.li("a4", SIGNAL_MASK_BYTES);
  a.system("ppoll");
  a.li("t0", -EINTR);
  a.beq("a0", "t0", "loop");
  a.bltz("a0", "end");
  a.addi("s1", "s0", POLL + POLL_BYTES);
  a.addi("s2", "s0", JOBS);
  a.li("s3", AGENT_JOBS_MAX);
  a.label("loop.job");
  a.call("serve");
  a.addi("s1", "s1", JOB_POLL_BYTES);
  a.addi("s2", "s2", JOB_BYTES);
  a.addi("s3", "s3", -1);
  a.bnez("s3", "loop.job");
  a.lhu("t0", "s0", POLL + 6);
  a.beqz("t0", "loop");
  a.call("takeFrame");
  a.j("loop");

  a.label("end");
  a.li("a0", 1);
  a.system("exitGroup");
}

/** transfer(a0 = descriptor, a1 = at, a2 = count): all of it; a0 is 0 or a negative errno. */
function emitTransfer(a: AgentBuilder, name: string, call: "read" | "write"): void {
  a.label(name);
  a.mv("s4", "a0");
  a.mv("s5", "a1");
  a.mv("s6", "a2");
  a.label(`${name}.more`);
  a.li("a0", 0);
  a.beqz("s6", `${name}.done`);
  a.mv("a0", "s4");
  a.mv("a1", "s5");
  a.mv("a2", "s6");
  a.system(call);
  a.add("s5", "s5", "a0");
  a.sub("s6", "s6", "a0");
  a.bgtz("a0", `${name}.more`);
  a.bnez("a0", `${name}.done`);
  a.li("a0", -1); // the end came first
  a.label(`${name}.done`);
  a.ret();
}

/** send(a0 = type, a1 = job, a2 = length), with the payload in its place. */
function emitSend(a: AgentBuilder): void {
  a.function("send", () => {
    a.sw("a0", "s0", FRAME_TYPE);
    a.sw("a1", "s0", FRAME_JOB);
    a.sw("a2", "s0", FRAME_LENGTH);
    a.addi("a2", "a2", AGENT_HEADER_BYTES);
    a.li("a0", 0);
    a.addi("a1", "s0", FRAME);
    a.call("writeAll");
    a.bnez("a0", "end");
  });
}

/** pump(a0 = poll entry, a1 = type): a0 is how many bytes went over; 0 when there are none now. */
function emitPump(a: AgentBuilder): void {
  a.function("pump", () => {
    a.mv("s7", "a0");
    a.mv("s8", "a1");
    a.lw("a0", "s7");
    a.addi("a1", "s0", PAYLOAD);
    a.li("a2", AGENT_PAYLOAD_BYTES_MAX);
    a.system("read");
    a.mv("s9", "a0");
    a.bgtz("s9", "pump.data");
    a.li("t0", -EAGAIN);
    a.beq("s9", "t0", "pump.none");
    a.closeAt("s7", 0); // the other end is closed
    a.label("pump.none");
    a.li("a0", 0);
    a.j("pump.return");
    a.label("pump.data");
    a.mv("a0", "s8");
    a.lw("a1", "s2", JOB_ID);
    a.mv("a2", "s9");
    a.call("send");
    a.mv("a0", "s9");
  });
}

/** The streams of a job by their poll entries: which frames their bytes become. */
const STREAMS = [
  { name: "output", offset: 0, type: AGENT_OUTPUT },
  { name: "errors", offset: POLL_BYTES, type: AGENT_ERRORS },
] as const;
const PROCESS_POLL = 2 * POLL_BYTES;

/** serve(s1, s2): what is ready of one job; its end comes last. */
function emitServe(a: AgentBuilder): void {
  a.function("serve", () => {
    for (const { name, offset, type } of STREAMS) {
      a.lhu("t0", "s1", offset + 6);
      a.beqz("t0", `serve.${name}`);
      a.addi("a0", "s1", offset);
      a.li("a1", type);
      a.call("pump");
      a.label(`serve.${name}`);
    }
    a.lhu("t0", "s1", PROCESS_POLL + 6);
    a.beqz("t0", "serve.return");
    // What it wrote before it ended is in the pipes.
    a.li("a0", 0);
    a.call("hold");
    for (const { name, offset, type } of STREAMS) {
      a.li("s10", DRAIN_ROUNDS_MAX);
      a.label(`serve.drain.${name}`);
      a.addi("a0", "s1", offset);
      a.li("a1", type);
      a.call("pump");
      a.addi("s10", "s10", -1);
      a.beqz("s10", `serve.drained.${name}`);
      a.bnez("a0", `serve.drain.${name}`);
      a.label(`serve.drained.${name}`);
      a.closeAt("s1", offset);
    }
    a.lw("a0", "s2", JOB_PID);
    a.addi("a1", "s0", PAYLOAD);
    a.li("a2", 0);
    a.li("a3", 0);
    a.system("wait4");
    a.closeAt("s1", PROCESS_POLL);
    a.li("a0", AGENT_EXIT);
    a.lw("a1", "s2", JOB_ID);
    a.li("a2", 4);
    a.sw("zero", "s2", JOB_ID);
    a.sw("zero", "s2", JOB_PID);
    a.call("send");
  });
}

/**
 * hold(s1, a0 = 1 or 0): the streams of a job are held, or not. A held one's descriptor is kept
 * inverted: ppoll passes over negative ones. -1 is none, held or not.
 */
function emitHold(a: AgentBuilder): void {
  a.label("hold");
  for (const { name, offset } of STREAMS) {
    a.lw("t0", "s1", offset);
    a.li("t1", -1);
    a.beq("t0", "t1", `hold.${name}`);
    a.slt("t1", "t0", "zero");
    a.beq("t1", "a0", `hold.${name}`);
    a.not("t0", "t0");
    a.sw("t0", "s1", offset);
    a.label(`hold.${name}`);
  }
  a.ret();
}

/** findJob(a0 = id, or 0 for a free place): s1, s2 and a0 other than 0; a0 = 0: there is none. */
function emitFind(a: AgentBuilder): void {
  a.label("findJob");
  a.addi("s1", "s0", POLL + POLL_BYTES);
  a.addi("s2", "s0", JOBS);
  a.li("t1", AGENT_JOBS_MAX);
  a.label("findJob.next");
  a.lwu("t0", "s2", JOB_ID);
  a.beq("t0", "a0", "findJob.found");
  a.addi("s1", "s1", JOB_POLL_BYTES);
  a.addi("s2", "s2", JOB_BYTES);
  a.addi("t1", "t1", -1);
  a.bnez("t1", "findJob.next");
  a.label("findJob.found");
  a.mv("a0", "t1");
  a.ret();
}

/** takeFrame: reads one and does what it says. Jobs that are not there, or run, are left. */
function emitFrames(a: AgentBuilder): void {
  a.function("takeFrame", () => {
    a.li("a0", 0);
    a.addi("a1", "s0", FRAME);
    a.li("a2", AGENT_HEADER_BYTES);
    a.call("readAll");
    a.bnez("a0", "end");
    a.lwu("a2", "s0", FRAME_LENGTH);
    a.li("t0", AGENT_PAYLOAD_BYTES_MAX);
    a.bgtu("a2", "t0", "end");
    a.li("a0", 0);
    a.addi("a1", "s0", PAYLOAD);
    a.call("readAll");
    a.bnez("a0", "end");

    a.lwu("t0", "s0", FRAME_TYPE);
    a.li("t1", AGENT_OPEN);
    a.bne("t0", "t1", "takeFrame.known");
    a.li("a0", 0);
    a.call("findJob");
    a.li("t0", -EAGAIN);
    a.beqz("a0", "takeFrame.refuse");
    a.la("a0", "null");
    a.li("a1", MFD_CLOEXEC);
    a.system("memfdCreate");
    a.mv("t0", "a0");
    a.bltz("a0", "takeFrame.refuse");
    a.sw("a0", "s2", JOB_INPUT);
    a.lwu("t0", "s0", FRAME_JOB);
    a.sw("t0", "s2", JOB_ID);
    a.j("takeFrame.return");

    a.label("takeFrame.known");
    a.lwu("a0", "s0", FRAME_JOB);
    a.beqz("a0", "takeFrame.return");
    a.call("findJob");
    a.beqz("a0", "takeFrame.return");
    a.lwu("t0", "s0", FRAME_TYPE);
    a.lwu("t2", "s2", JOB_PID);
    a.li("t1", AGENT_KILL);
    a.beq("t0", "t1", "takeFrame.kill");
    a.li("t1", AGENT_HOLD);
    a.beq("t0", "t1", "takeFrame.hold");
    a.bnez("t2", "takeFrame.return");
    a.li("t1", AGENT_RUN);
    a.beq("t0", "t1", "takeFrame.run");
    a.li("t1", AGENT_INPUT);
    a.bne("t0", "t1", "takeFrame.return");
    a.lw("a0", "s2", JOB_INPUT);
    a.addi("a1", "s0", PAYLOAD);
    a.lwu("a2", "s0", FRAME_LENGTH);
    a.call("writeAll");
    a.mv("t0", "a0");
    a.bnez("a0", "takeFrame.drop");
    a.j("takeFrame.return");

    emitSignals(a);
    a.label("takeFrame.run");
    a.call("run");
    a.mv("t0", "a0");
    a.beqz("a0", "takeFrame.return");
    a.label("takeFrame.drop"); // with the errno in t0
    emitDrop(a);
  });
}

/** KILL and HOLD, of the job at hand, with its process in t2. */
function emitSignals(a: AgentBuilder): void {
  a.label("takeFrame.kill");
  a.beqz("t2", "takeFrame.return");
  a.neg("a0", "t2");
  a.lwu("a1", "s0", PAYLOAD);
  a.system("kill");
  a.j("takeFrame.return");

  a.label("takeFrame.hold");
  a.lwu("a0", "s0", PAYLOAD);
  a.snez("a0", "a0");
  a.call("hold");
  a.j("takeFrame.return");
}

/** Gives up the job at hand, or only its OPEN (takeFrame.refuse), for the errno in t0. */
function emitDrop(a: AgentBuilder): void {
  a.mv("s10", "t0");
  a.closeAt("s2", JOB_INPUT);
  a.sw("zero", "s2", JOB_ID);
  a.mv("t0", "s10");
  a.label("takeFrame.refuse");
  a.neg("t0", "t0");
  a.sw("t0", "s0", PAYLOAD);
  a.li("a0", AGENT_REFUSED);
  a.lw("a1", "s0", FRAME_JOB);
  a.li("a2", 4);
  a.call("send");
}

/** run(s1, s2): starts the script in the payload; a0 is 0 or a negative errno. */
function emitRun(a: AgentBuilder): void {
  const [outRead, outWrite, errRead, errWrite] = [0, 4, 8, 12].map((offset) => PIPES + offset);
  a.function("run", () => {
    a.li("t0", -1);
    for (const end of [outRead, outWrite, errRead, errWrite]) a.sw("t0", "s0", end);
    for (const pipe of [outRead, errRead]) {
      a.addi("a0", "s0", pipe);
      a.li("a1", O_CLOEXEC);
      a.system("pipe2");
      a.bltz("a0", "run.failed");
      a.lw("a0", "s0", pipe);
      a.li("a1", F_SETFL);
      a.li("a2", O_NONBLOCK);
      a.system("fcntl");
    }
    a.lw("a0", "s2", JOB_INPUT);
    a.li("a1", 0);
    a.li("a2", 0);
    a.system("lseek");
    a.li("a0", CLONE_FLAGS);
    a.li("a1", 0);
    a.addi("a2", "s0", PROCESS);
    a.li("a3", 0);
    a.li("a4", 0);
    a.system("clone");
    a.bltz("a0", "run.failed");
    a.beqz("a0", "run.child");
    a.sw("a0", "s2", JOB_PID);
    a.closeAt("s2", JOB_INPUT);
    a.closeAt("s0", outWrite);
    a.closeAt("s0", errWrite);
    [outRead, errRead, PROCESS].forEach((variable, index) => {
      a.lw("t0", "s0", variable);
      a.sw("t0", "s1", index * POLL_BYTES);
      a.sh("zero", "s1", index * POLL_BYTES + 6);
    });
    a.li("a0", 0);
    a.j("run.return");

    a.label("run.failed");
    a.mv("s10", "a0");
    for (const end of [outRead, outWrite, errRead, errWrite]) a.closeAt("s0", end);
    a.mv("a0", "s10");
  });
  emitChild(a, outWrite, errWrite);
}

/** The command's process, up to exec. */
function emitChild(a: AgentBuilder, outWrite: number, errWrite: number): void {
  a.label("run.child");
  a.system("setsid");
  a.lw("s4", "s2", JOB_INPUT);
  a.lw("s5", "s0", outWrite);
  a.lw("s6", "s0", errWrite);
  (["s4", "s5", "s6"] as const).forEach((from, to) => {
    a.mv("a0", from);
    a.li("a1", to);
    a.li("a2", 0);
    a.system("dup3");
  });
  // A shell that starts the agent in the background lets it ignore signals.
  a.li("s4", SIGNALS_MAX);
  a.label("run.signal");
  a.mv("a0", "s4");
  a.addi("a1", "s0", ACTION);
  a.li("a2", 0);
  a.li("a3", SIGNAL_MASK_BYTES);
  a.system("rtSigaction");
  a.addi("s4", "s4", -1);
  a.bnez("s4", "run.signal");
  a.addi("a1", "s0", ARGUMENTS);
  a.la("a0", "shell");
  a.la("t0", "shell", "/bin/".length);
  a.sd("t0", "a1");
  a.la("t0", "option");
  a.sd("t0", "a1", 8);
  a.addi("t0", "s0", PAYLOAD);
  a.sd("t0", "a1", 16);
  a.sd("zero", "a1", 24);
  a.mv("a2", "s11");
  a.system("execve");
  a.li("a0", STATUS_EXEC_FAILED);
  a.system("exitGroup");
}

/** The agent as an ELF64 executable for riscv64 Linux. */
export function guestAgent(): Uint8Array {
  const a = new AgentBuilder({ base: BASE });
  emitLoop(a);
  emitTransfer(a, "readAll", "read");
  emitTransfer(a, "writeAll", "write");
  emitSend(a);
  emitPump(a);
  emitServe(a);
  emitHold(a);
  emitFind(a);
  emitFrames(a);
  emitRun(a);
  for (const [label, text] of [
    ["null", "/dev/null"],
    ["shell", "/bin/sh"],
    ["option", "-c"],
  ]) {
    a.label(label);
    a.asciz(text);
  }
  a.align(8);
  a.label("variables");
  const { bytes } = a.assemble();
  const memoryBytes = bytes.length + VARIABLES_BYTES;
  return elf64({ entry: BASE, segments: [{ address: BASE, bytes, memoryBytes }] });
}
