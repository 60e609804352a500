/**
 * index: the public door `rivulet/contract`: what a device from outside is tested with.
 *
 * Used by embedders who register devices (docs/embedding.md), and by test/device.
 *
 *   for (const { title, check } of deviceContract("doorbell", () => new Doorbell(place))) {
 *     test(title, check);
 *   }
 */
export { type ContractClause, deviceContract } from "./device.ts";
export { FakeContext, FlatMemory, RAM_BASE } from "./fake-context.ts";
