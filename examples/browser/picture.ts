/**
 * picture: the console as a PNG, drawn from the terminal's buffer, whatever draws it on the page.
 *
 * Used by main.ts.
 */
import type { IBufferCell, Terminal } from "@xterm/xterm";
import { FONT, THEME } from "./console.ts";

const FONT_PX = 14;
const LINE_PX = 18;
const MARGIN_PX = 16;
/** Dots of the picture per pixel of the page. */
const SCALE = 2;

const ANSI = [
  THEME.black,
  THEME.red,
  THEME.green,
  THEME.yellow,
  THEME.blue,
  THEME.magenta,
  THEME.cyan,
  THEME.white,
  THEME.brightBlack,
  THEME.brightRed,
  THEME.brightGreen,
  THEME.brightYellow,
  THEME.brightBlue,
  THEME.brightMagenta,
  THEME.brightCyan,
  THEME.brightWhite,
];
/** Levels of each colour in the 6 x 6 x 6 cube of the 256-colour palette. */
const CUBE = [0, 95, 135, 175, 215, 255];

function paletteColour(index: number): string {
  if (index < 16) return ANSI[index];
  if (index >= 232) {
    const level = 8 + (index - 232) * 10;
    return `rgb(${level} ${level} ${level})`;
  }
  const at = index - 16;
  return `rgb(${CUBE[Math.floor(at / 36)]} ${CUBE[Math.floor(at / 6) % 6]} ${CUBE[at % 6]})`;
}

const rgb = (value: number) => `#${value.toString(16).padStart(6, "0")}`;

function colours(cell: IBufferCell): { text: string; ground: string } {
  let text = THEME.foreground;
  if (cell.isFgPalette()) text = paletteColour(cell.getFgColor());
  else if (cell.isFgRGB()) text = rgb(cell.getFgColor());
  let ground = THEME.background;
  if (cell.isBgPalette()) ground = paletteColour(cell.getBgColor());
  else if (cell.isBgRGB()) ground = rgb(cell.getBgColor());
  return cell.isInverse() ? { text: ground, ground: text } : { text, ground };
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

function drawCell(context: CanvasRenderingContext2D, cell: IBufferCell, place: Place): void {
  const { text, ground } = colours(cell);
  const { x, y, width } = place;
  if (ground !== THEME.background) {
    context.fillStyle = ground;
    context.fillRect(x, y, width, LINE_PX);
  }
  if (cell.isInvisible()) return;
  context.fillStyle = text;
  context.globalAlpha = cell.isDim() ? 0.6 : 1;
  const chars = cell.getChars();
  if (chars.trim() !== "") {
    context.font = `${cell.isItalic() ? "italic " : ""}${cell.isBold() ? "bold " : ""}${FONT_PX}px ${FONT}`;
    context.fillText(chars, x, y + LINE_PX / 2);
  }
  if (cell.isUnderline()) context.fillRect(x, y + LINE_PX - 2, width, 1);
  context.globalAlpha = 1;
}

/** What the terminal shows now, as a PNG. */
export function consolePicture(terminal: Terminal): Promise<Blob> {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  context.font = `${FONT_PX}px ${FONT}`;
  const cellPx = context.measureText("0").width;
  canvas.width = Math.ceil((terminal.cols * cellPx + 2 * MARGIN_PX) * SCALE);
  canvas.height = (terminal.rows * LINE_PX + 2 * MARGIN_PX) * SCALE;
  context.scale(SCALE, SCALE);
  context.fillStyle = THEME.background;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.textBaseline = "middle";
  const buffer = terminal.buffer.active;
  for (let row = 0; row < terminal.rows; row++) {
    const line = buffer.getLine(buffer.viewportY + row);
    for (let column = 0; column < terminal.cols; column++) {
      const cell = line?.getCell(column);
      // The second half of a wide character has no width of its own.
      if (cell === undefined || cell.getWidth() === 0) continue;
      const x = MARGIN_PX + column * cellPx;
      const place = { x, y: MARGIN_PX + row * LINE_PX, width: cell.getWidth() * cellPx };
      drawCell(context, cell, place);
    }
  }
  if (buffer.viewportY === buffer.baseY) {
    context.globalAlpha = 0.7;
    context.fillStyle = THEME.cursor;
    const x = MARGIN_PX + buffer.cursorX * cellPx;
    context.fillRect(x, MARGIN_PX + buffer.cursorY * LINE_PX, cellPx, LINE_PX);
  }
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => {
      if (blob === null) reject(new Error("the browser gives no picture"));
      else resolve(blob);
    }, "image/png");
  });
}
