/**
 * image: every wrapping of a kernel, and streams that lie about themselves.
 */
import { gzipSync } from "fflate";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VmError } from "../../src/errors.ts";
import { gunzipLimited, isGzip, isImage, parseImage } from "../../src/machine/image.ts";
import { emitHang, imageProgram } from "../helpers/guest-program.ts";

const test = suite("machine/image");
const MOST = 1 << 20;

function zboot(payload: Uint8Array, kind = "gzip"): Uint8Array {
  const bytes = new Uint8Array(512 + payload.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x4d, 0x5a, 0, 0, 0x7a, 0x69, 0x6d, 0x67]);
  view.setUint32(8, 512, true);
  view.setUint32(12, payload.length, true);
  bytes.set(new TextEncoder().encode(kind), 24);
  bytes.set(payload, 512);
  return bytes;
}

function refuses(bytes: Uint8Array, text: RegExp, most = MOST): void {
  try {
    parseImage(bytes, most);
  } catch (error) {
    assert.ok(error instanceof VmError, String(error));
    assert.is(error.code, "bad-file");
    assert.match(error.message, text);
    return;
  }
  assert.unreachable(`accepted, expected ${text}`);
}

test("plain, gzip and zboot give the same kernel", () => {
  const plain = imageProgram(emitHang, { imageBytes: 0x9000 });
  for (const file of [plain, gzipSync(plain), zboot(gzipSync(plain))]) {
    assert.ok(isImage(file));
    const image = parseImage(file, MOST);
    assert.equal([...image.bytes], [...plain]);
    assert.is(image.textOffset, 0x20_0000);
    assert.is(image.memoryBytes, 0x9000);
  }
});

test("memory is at least the file", () => {
  const plain = imageProgram(emitHang, { imageBytes: 0 });
  assert.is(parseImage(plain, MOST).memoryBytes, plain.length);
});

test("what is no kernel is refused", () => {
  refuses(new Uint8Array(10), /kernel of 10 bytes/);
  refuses(new Uint8Array(4096), /no "RSC/);
  refuses(imageProgram(emitHang, { flags: 1 }), /big-endian/);
  refuses(zboot(new Uint8Array(100), "zstd"), /"zstd": accepted is gzip/);
  const long = zboot(gzipSync(new Uint8Array(100)));
  new DataView(long.buffer).setUint32(12, 0xffff_ff00, true);
  refuses(long, /payload at bytes 512/);
});

test("a gzip stream never unpacks to more than allowed", () => {
  const bomb = gzipSync(new Uint8Array(64 << 20));
  assert.ok(bomb.length < 100_000);
  refuses(bomb, /more than 1048576 bytes/);
  assert.is(gunzipLimited(gzipSync(new Uint8Array(MOST)), MOST).length, MOST);
  assert.throws(() => gunzipLimited(gzipSync(new Uint8Array(MOST + 1)), MOST), /more than/);
});

test("a damaged gzip stream is refused at every truncation", () => {
  const plain = imageProgram((a) => {
    for (let index = 0; index < 500; index++) a.u32((index * 2654435761) >>> 0);
  });
  const packed = gzipSync(plain);
  for (let length = 0; length < packed.length; length += 7) {
    const cut = packed.slice(0, length);
    const wanted = isGzip(cut) ? /gzip stream/ : /kernel/;
    refuses(cut, wanted);
  }
});

test.run();
