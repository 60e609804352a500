/**
 * Disks that a browser reads, tried where fetch and Blob are the same: a file on a web server, by
 * ranges, and a Blob.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VmError } from "../../src/errors.ts";
import { BlobBackend } from "../../src/platform/browser/block-blob.ts";
import { openUrlDisk } from "../../src/platform/browser/block-url.ts";
import { Random, seedOf } from "../helpers/random.ts";

const test = suite("browser/block-url");
/** Some pieces of 128 KiB, and a short one. */
const DISK_BYTES = 5 * (128 << 10) + 3 * 512;
const seed = seedOf(23);
const contents = (() => {
  const random = new Random(seed);
  return Buffer.from(Array.from({ length: DISK_BYTES }, () => random.below(256)));
})();

/** What the server does; each test sets it. */
let answer: (request: IncomingMessage, response: ServerResponse) => void = ranges;
let requests = 0;
const server = createServer((request, response) => {
  requests++;
  answer(request, response);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.img`;
test.before.each(() => {
  answer = ranges;
  requests = 0;
});
test.after(() => {
  server.closeAllConnections();
  server.close();
});

function ranges(request: IncomingMessage, response: ServerResponse, bytes = contents, tag = '"1"') {
  const [from, last] = (/(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? []).slice(1).map(Number);
  const to = Math.min(last, bytes.length - 1);
  response.writeHead(206, { "Content-Range": `bytes ${from}-${to}/${bytes.length}`, ETag: tag });
  response.end(bytes.subarray(from, to + 1));
}

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.instance(error, VmError);
    return (error as VmError).code;
  }
  return "nothing was wrong";
}

test("reads anywhere are the file's bytes, and near ones are fetched once", async () => {
  const disk = await openUrlDisk(url);
  assert.is(disk.bytes, DISK_BYTES);
  const random = new Random(seed);
  for (let round = 0; round < 60; round++) {
    const first = random.below(DISK_BYTES / 512);
    const count = 1 + random.below(Math.min(600, DISK_BYTES / 512 - first));
    const target = new Uint8Array(count * 512);
    await disk.read(first * 512, target);
    const expected = contents.subarray(first * 512, (first + count) * 512);
    assert.ok(expected.equals(target), `${count} sectors at ${first}, SEED=${seed}`);
  }
  assert.is(requests, 1 + 6, "six pieces and the question how long it is");
});

test("two reads at a time of one piece fetch it once", async () => {
  const disk = await openUrlDisk(url);
  const targets = [new Uint8Array(512), new Uint8Array(1024)];
  await Promise.all([disk.read(0, targets[0]), disk.read(512, targets[1])]);
  assert.ok(contents.subarray(512, 1536).equals(targets[1]));
  assert.is(requests, 2);
});

test("what failed once is fetched again", async () => {
  const disk = await openUrlDisk(url);
  answer = (_, response) => response.writeHead(503).end();
  assert.is(await codeOf(() => disk.read(0, new Uint8Array(512))), "io");
  answer = ranges;
  const target = new Uint8Array(512);
  await disk.read(0, target);
  assert.ok(contents.subarray(0, 512).equals(target));
});

test("a server without ranges, a wrong size and a missing file are refused", async () => {
  answer = (_, response) => response.writeHead(200).end(contents);
  assert.is(await codeOf(() => openUrlDisk(url)), "unsupported");
  answer = (request, response) => ranges(request, response, contents.subarray(0, 1000));
  assert.is(await codeOf(() => openUrlDisk(url)), "bad-file");
  answer = (_, response) => response.writeHead(404).end();
  assert.is(await codeOf(() => openUrlDisk(url)), "io");
  answer = (_, response) => response.destroy();
  assert.is(await codeOf(() => openUrlDisk(url)), "io");
});

test("a file that changes on the server is an I/O error, never a mixture", async () => {
  const disk = await openUrlDisk(url);
  answer = (request, response) => ranges(request, response, contents, '"2"');
  assert.is(await codeOf(() => disk.read(0, new Uint8Array(512))), "io");
  answer = (request, response) => ranges(request, response, contents.subarray(512));
  assert.is(await codeOf(() => disk.read(0, new Uint8Array(512))), "io");
});

test("a server that gives other bytes than asked for is not believed", async () => {
  const disk = await openUrlDisk(url);
  answer = (_, response) => {
    response.writeHead(206, { "Content-Range": `bytes 512-1023/${DISK_BYTES}`, ETag: '"1"' });
    response.end(contents.subarray(512, 1024));
  };
  assert.is(await codeOf(() => disk.read(0, new Uint8Array(512))), "io");
});

test("a body that is short, or breaks off, is an I/O error", async () => {
  const disk = await openUrlDisk(url);
  const head = { "Content-Range": `bytes 0-${(128 << 10) - 1}/${DISK_BYTES}`, ETag: '"1"' };
  answer = (_, response) => response.writeHead(206, head).end(contents.subarray(0, 1000));
  assert.is(await codeOf(() => disk.read(0, new Uint8Array(512))), "io");
  answer = (_, response) => {
    response.writeHead(206, { ...head, "Content-Length": 128 << 10 });
    response.write(contents.subarray(0, 1000), () => response.destroy());
  };
  assert.is(await codeOf(() => disk.read(0, new Uint8Array(512))), "io");
  assert.is(await codeOf(() => openUrlDisk(url)), "io");
});

test("of a large disk no more than 16 MiB are kept, those read last", async () => {
  const large = Buffer.alloc(20 << 20);
  answer = (request, response) => ranges(request, response, large);
  const disk = await openUrlDisk(url);
  const read = (piece: number) => disk.read(piece * (128 << 10), new Uint8Array(512));
  for (let piece = 0; piece < 129; piece++) await read(piece);
  assert.is(requests, 1 + 129);
  for (let piece = 1; piece < 129; piece++) await read(piece);
  assert.is(requests, 1 + 129, "the last 128 are there");
  await read(0);
  assert.is(requests, 1 + 130, "the first is not");
});

test("a Blob is read as it is asked for, and not written", async () => {
  const disk = new BlobBackend(new Blob([contents]));
  assert.is(disk.bytes, DISK_BYTES);
  const target = new Uint8Array(2048);
  await disk.read(4096, target);
  assert.ok(contents.subarray(4096, 6144).equals(target));
  assert.is(await codeOf(() => disk.write(0, target)), "io");
  assert.is(await codeOf(() => new BlobBackend(new Blob(["odd"]))), "bad-file");
});

test.run();
