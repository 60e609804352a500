/**
 * console: the terminal on the page: xterm.js, fitted to its place.
 *
 * Used by main.ts.
 */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

/** Colours of the console, on the page and in its picture. */
export const THEME = {
  background: "#020617",
  foreground: "#e2e8f0",
  cursor: "#38bdf8",
  selectionBackground: "#334155",
  black: "#1e293b",
  red: "#f87171",
  green: "#4ade80",
  yellow: "#fbbf24",
  blue: "#60a5fa",
  magenta: "#c084fc",
  cyan: "#22d3ee",
  white: "#cbd5e1",
  brightBlack: "#64748b",
  brightRed: "#fca5a5",
  brightGreen: "#86efac",
  brightYellow: "#fde68a",
  brightBlue: "#93c5fd",
  brightMagenta: "#d8b4fe",
  brightCyan: "#67e8f9",
  brightWhite: "#f8fafc",
};

/** Fonts of the console. */
export const FONT = 'ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", Consolas, monospace';

/**
 * Makes a terminal that fills `place`, which has no padding, and stays so. `leave` is called for
 * the key F6.
 */
export function openConsole(place: HTMLElement, leave: () => void): Terminal {
  const terminal = new Terminal({
    theme: THEME,
    fontFamily: FONT,
    fontSize: 14,
    scrollback: 10_000,
    cursorBlink: true,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  // Tab is the guest's, so another key must lead out of the console.
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.key !== "F6") return true;
    if (event.type === "keydown") {
      event.preventDefault();
      leave();
    }
    return false;
  });
  new ResizeObserver(() => fit.fit()).observe(place);
  return terminal;
}
