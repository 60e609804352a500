/**
 * main: the page: boots a guest at once, in a worker, and connects buttons, console and status line
 * with it.
 *
 * Holds   one machine at a time; a reset disposes of it and starts another one as it is chosen.
 *         The address says what is booted: ?guest=debian&memory=1G&harts=4&clock=virtual.
 */
import { BUILTIN_GUEST_NAME, RemoteMachine, type RunResult } from "rivulet/browser";
import { openConsole } from "./console.ts";
import { element } from "./element.ts";
import { listGuests, loadGuest } from "./guests.ts";
import { consolePicture } from "./picture.ts";
import { followStats, showState } from "./status.ts";

const guest = element<HTMLSelectElement>("guest");
const memory = element<HTMLSelectElement>("memory");
const harts = element<HTMLSelectElement>("harts");
const disk = element<HTMLInputElement>("disk");
const pause = element<HTMLButtonElement>("pause");
const reset = element<HTMLButtonElement>("reset");
const screenshot = element<HTMLButtonElement>("screenshot");
const reader = element<HTMLButtonElement>("reader");
const message = element("message");
const progress = element("progress");
const settings = [guest, memory, harts] as const;
const address = new URL(location.href);
const clock = address.searchParams.get("clock") === "virtual" ? "virtual" : "host";
const LABELS: Readonly<Record<string, string>> = {
  [BUILTIN_GUEST_NAME]: "Built-in",
  debian: "Debian",
};

const terminal = openConsole(element("terminal"), () => pause.focus());
let machine: RemoteMachine | null = null;
/** Counts starts, so that what a start waited for is dropped when another one has begun. */
let generation = 0;
let endStats = () => {};

terminal.onData((text) => machine?.console.write(text));
// Mouse reports are bytes, not text.
terminal.onBinary((text) => {
  machine?.console.write(Uint8Array.from(text, (char) => char.charCodeAt(0)));
});

function say(error: unknown): void {
  message.textContent = error instanceof Error ? error.message : String(error);
  message.hidden = false;
  showState("failed");
}

function showProgress(part: number | null): void {
  progress.hidden = part === null;
  progress.setAttribute("aria-valuenow", String(Math.round((part ?? 0) * 100)));
  (progress.firstElementChild as HTMLElement).style.width = `${(part ?? 0) * 100}%`;
}

/** Marks the button while what is chosen is not what runs. */
function setDue(isDue: boolean): void {
  reset.classList.toggle("is-due", isDue);
  reset.textContent = isDue ? "Apply and reset" : "Reset";
}

function showEnd(result: RunResult): void {
  const code = "code" in result ? ` with code ${result.code}` : "";
  terminal.write(`\r\n\x1b[2m[${result.kind}${code}]\x1b[0m\r\n`);
  showState("ended", `${result.kind}${code}`);
  pause.disabled = true;
}

function connect(made: RemoteMachine): void {
  let hasOutput = false;
  made.console.onOutput((bytes) => {
    if (!hasOutput) performance.mark("rivulet:first-output");
    hasOutput = true;
    return new Promise((resolve) => terminal.write(bytes, resolve));
  });
  made.on("state", ({ to, reason }) => {
    if (machine !== made) return;
    if (to === "running" || to === "paused") {
      showState(to, to === "paused" && reason !== "user" ? `paused: ${reason}` : to);
      pause.textContent = to === "paused" ? "Resume" : "Pause";
    }
  });
  endStats = followStats(made);
}

function rememberChoice(): void {
  for (const select of settings) address.searchParams.set(select.id, select.value);
  history.replaceState(null, "", address);
}

/** Ends the machine that is there and starts the chosen one. */
async function start(): Promise<void> {
  const mine = ++generation;
  machine?.dispose();
  machine = null;
  endStats();
  message.hidden = true;
  pause.disabled = true;
  pause.textContent = "Pause";
  setDue(false);
  showState("loading");
  terminal.write("\x1bc"); // in turn with what the last machine wrote
  let made: RemoteMachine | null = null;
  try {
    const files = await loadGuest(guest.value, (part) => {
      if (mine === generation) showProgress(part);
    });
    if (mine !== generation) return;
    showProgress(null);
    made = await RemoteMachine.create({
      ...files,
      name: guest.value,
      memoryBytes: memory.value,
      harts: Number(harts.value),
      clock,
      consoleInput: "open",
      disks: [...(disk.files ?? [])].map((source) => ({ source })),
    });
    if (mine !== generation) return made.dispose();
    machine = made;
    connect(made);
    await made.boot();
    // One instruction by itself, to tell when it was; the guest cannot tell.
    await made.run(1);
    performance.mark("rivulet:first-instruction");
    pause.disabled = false;
    const result = await made.run();
    if (mine === generation) showEnd(result);
  } catch (error) {
    made?.dispose();
    if (mine === generation) {
      showProgress(null);
      say(error);
    }
  }
}

pause.addEventListener("click", () => {
  const call = machine?.state === "paused" ? machine.resume() : machine?.pause();
  call?.catch(say);
  terminal.focus();
});
reset.addEventListener("click", () => {
  void start();
  terminal.focus();
});
screenshot.addEventListener("click", () => {
  consolePicture(terminal)
    .then((picture) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(picture);
      link.download = `rivulet-${guest.value}.png`;
      link.click();
      URL.revokeObjectURL(link.href);
    })
    .catch(say);
});
reader.addEventListener("click", () => {
  const isReading = !terminal.options.screenReaderMode;
  terminal.options.screenReaderMode = isReading;
  reader.setAttribute("aria-pressed", String(isReading));
});
for (const select of settings) {
  select.addEventListener("change", () => {
    rememberChoice();
    setDue(true);
  });
}
disk.addEventListener("change", () => {
  element("disk-name").textContent = disk.files?.[0]?.name ?? "Disk image…";
  setDue(true);
});

/** Chooses what the address says, as far as it can be had. */
function choose(select: HTMLSelectElement): void {
  const wanted = address.searchParams.get(select.id);
  const option = [...select.options].find(({ value }) => value === wanted);
  if (option !== undefined && !option.disabled) select.value = option.value;
}

const guests = await listGuests();
for (const name of guests) guest.add(new Option(LABELS[name] ?? name, name));
if (!guests.includes("debian")) {
  const option = new Option("Debian (not served here)", "debian");
  option.disabled = true;
  guest.add(option);
}
settings.forEach(choose);
// For the curious, at the browser's own console, and for tests.
Object.assign(globalThis, {
  rivulet: {
    terminal,
    get machine() {
      return machine;
    },
  },
});
terminal.focus();
await start();
