/**
 * status: the line under the console: state, speed, instructions, memory, guest time.
 *
 * Used by main.ts.
 * Holds   figures are asked for twice a second while the page is visible, and not otherwise.
 */
import type { RemoteMachine, RemoteStats } from "rivulet/browser";
import { element } from "./element.ts";

const PERIOD_MS = 500;
const TICKS_PER_SECOND = 1e7;
const FRAME_BYTES = 4096;

const mips = element("mips");
const instructions = element("instructions");
const frames = element("frames");
const time = element("time");
const state = element("state");

/** 44 KB, 81.4 MB. */
function bytesText(bytes: number): string {
  const kilobytes = bytes / 1024;
  return kilobytes < 1000 ? `${Math.round(kilobytes)} KB` : `${(kilobytes / 1024).toFixed(1)} MB`;
}

const count = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 3723.4 as 1:02:03. */
function clockText(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const text = `${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${text}` : text;
}

/** Shows what the machine is doing; `kind` picks the colour. */
export function showState(kind: string, text = kind): void {
  state.dataset.state = kind;
  if (state.textContent !== text) state.textContent = text;
}

function show(stats: RemoteStats, speed: number): void {
  mips.textContent = `${speed.toFixed(speed < 10 ? 1 : 0)} MIPS`;
  instructions.textContent = count.format(stats.instructions);
  frames.textContent = bytesText(stats.framesUsed * FRAME_BYTES);
  time.textContent = clockText(stats.ticks / TICKS_PER_SECOND);
}

/** Shows the machine's figures from now on; the returned function ends that. */
export function followStats(machine: RemoteMachine): () => void {
  let last = { instructions: 0, atMs: performance.now() };
  let isAsking = false;
  let isOver = false;
  const ask = async () => {
    if (document.hidden || isAsking) return;
    isAsking = true;
    try {
      const stats = await machine.stats();
      const now = performance.now();
      const speed = (stats.instructions - last.instructions) / (now - last.atMs) / 1000;
      last = { instructions: stats.instructions, atMs: now };
      if (!isOver) show(stats, speed);
    } catch {
      // The machine is gone; whoever disposed of it, or its failing run, says so.
      end();
    } finally {
      isAsking = false;
    }
  };
  const timer = setInterval(ask, PERIOD_MS);
  const end = () => {
    isOver = true;
    clearInterval(timer);
  };
  void ask();
  return end;
}
