/**
 * privileged-probe: an entry of its own for test/hart, with the privileged architecture and nothing
 * else of the core. The hart is the RUN block; its machine block is where the test puts it.
 *
 * Used by test/hart/probe.ts.
 */
export { csrRead, csrWrite } from "./csr";
export { interruptPending, interruptWakes, mipNow, timerNext } from "./interrupt";
export { hartReset, timeNow } from "./state";
export { trapReturnMachine, trapReturnSupervisor, trapTake } from "./trap";
export { systemExecute } from "../isa/system";
export { pmpActiveUpdate, pmpAllows, pmpPageUniform } from "../mmu/pmp";
